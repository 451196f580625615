"""A mail server for tests: keeps what it takes, and behaves as it is told.

Arguments: a JSON object {"tls": "none"|"starttls"|"implicit", "cert": PEM file, "key": PEM file, "login": [user, password],
"ascii": true}. The first line of stdout is the port. Then each line of stdin is a JSON command that one line answers; the
end of stdin ends it.
"""

import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

logging.getLogger("mail.log").setLevel(logging.CRITICAL)
options = json.loads(sys.argv[1])
# What to do instead: a recipient, or "*" -> {"mail"|"rcpt"|"data": an answer, "delay_s": before RCPT is answered,
# "drop": "rcpt"|"data"|"after" the mail was kept}; and "greeting": an answer instead of 220, "hang": not even that.
behaviour = {}
mails = []
sessions = set()
connections = 0


def of(recipient, what):
    for key in (recipient, "*"):
        if what in behaviour.get(key, {}):
            return behaviour[key][what]
    return None


class Server(SMTP):
    async def _handle_client(self):
        global connections
        connections += 1
        sessions.add(self)
        try:
            if of("*", "hang"):
                await asyncio.sleep(3600)
            if of("*", "greeting"):
                await self.push(of("*", "greeting"))
                self.transport.close()
                return
            await super()._handle_client()
        finally:
            sessions.discard(self)

    def abort(self):
        if self.transport is not None:
            self.transport.abort()


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if of("*", "mail"):
            return of("*", "mail")
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        await asyncio.sleep(of(address, "delay_s") or 0)
        if of(address, "drop") == "rcpt":
            server.abort()
        if of(address, "rcpt"):
            return of(address, "rcpt")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        recipient = envelope.rcpt_tos[0]
        if of(recipient, "drop") == "data":
            server.abort()
            return "451 gone"
        if of(recipient, "data"):
            return of(recipient, "data")
        raw = envelope.original_content
        message = email.message_from_bytes(raw, policy=email.policy.default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        mails.append({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "login": session.auth_data,
            "hello": session.host_name,
            "raw": raw.decode("latin-1"),
            "headers": [[name, str(value)] for name, value in message.items()],
            "text": text.get_content() if text else None,
            "html": html.get_content() if html else None,
        })
        if of(recipient, "drop") == "after":
            server.abort()
        return "250 OK"


def check(server, session, envelope, mechanism, data):
    if not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    given = [data.login.decode(), data.password.decode()]
    if given == options["login"]:
        return AuthResult(success=True, auth_data=given[0])
    return AuthResult(success=False, handled=False)


def server():
    context = None
    if options["tls"] != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options["cert"], options["key"])
    starttls = options["tls"] == "starttls"
    login = options.get("login")
    made = Server(
        Handler(),
        hostname="sink.test",
        decode_data=bool(options.get("ascii")),
        tls_context=context if starttls else None,
        require_starttls=starttls,
        authenticator=check if login else None,
        auth_required=bool(login),
        # Implicit TLS is no TLS to the library, and clear text is for loopback.
        auth_require_tls=starttls,
    )
    return made, (context if options["tls"] == "implicit" else None)


async def listen(port):
    context = server()[1]
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: server()[0], "127.0.0.1", port, ssl=context)


async def main():
    global behaviour
    listening = await listen(0)
    port = listening.sockets[0].getsockname()[1]
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = None
        if "behave" in command:
            behaviour = command["behave"]
        elif "down" in command:
            if listening:
                listening.close()
            listening = None
            for one in list(sessions):
                one.abort()
        elif "up" in command:
            listening = await listen(port)
        elif "mails" in command:
            answer = mails
        elif "connections" in command:
            answer = connections
        print(json.dumps(answer), flush=True)
    sys.exit(0)


asyncio.run(main())
