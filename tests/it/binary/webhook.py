"""Takes or refuses webhook messages with the Python library of Standard Webhooks.

Reads them from stdin, a JSON object a line: "secret", "headers" (an object) and "body" (a text); answers each with a
line, "taken TYPE" or "refused".
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    message = json.loads(line)
    try:
        event = Webhook(message["secret"]).verify(message["body"], message["headers"])
        print("taken", event["type"], flush=True)
    except WebhookVerificationError:
        print("refused", flush=True)
