"""Takes or refuses access tokens with PyJWT, which knows nothing but the JWKS address, the issuer and the audience.

Called with these three; reads tokens from stdin, one a line; answers each with a line, "taken SUB" or "refused WHY".
"""

import sys

import jwt

jwks, issuer, audience = sys.argv[1:]
client = jwt.PyJWKClient(jwks)
for line in sys.stdin:
    token = line.strip()
    try:
        key = client.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, issuer=issuer, audience=audience)
        print("taken", claims["sub"], flush=True)
    except jwt.PyJWTError as error:
        print("refused", type(error).__name__, flush=True)
