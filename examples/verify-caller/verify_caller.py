"""Checks who calls, in a tool server behind the gate.

Copy this file: it needs Python 3.9 and the package `cryptography`, and nothing of ours.
"""

import base64
import hashlib
import json
import re
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

MAX_LIFE_S = 60  # longest life of an assertion
CLOCKS_S = 5  # largest difference of clocks


class NotVouchedFor(Exception):
    """The gate did not vouch for this call."""


class CallerVerifier:
    """The check of one server.

    issuer: `iss` of the gate's assertions; server: id of this server in the gate's configuration;
    jwks: the gate's public keys, as a dict.
    """

    def __init__(self, issuer, server, jwks, now=time.time):
        self._issuer = issuer
        self._server = server
        self._keys = jwks["keys"]
        self._now = now
        self._seen = {}

    def verify(self, body):
        """Takes the body of a `tools/call` request as received, before any parser. Returns who calls.

        The assertion holds a hash of the very bytes of `arguments`.
        """
        try:
            text = body.decode("utf-8")
            json.loads(text)
            params = member_of(text, "params") or "{}"
            token = json.loads(member_of(member_of(params, "_meta") or "{}", "callgate/caller") or "null")
            claims = self._verified(token)
            tool = json.loads(member_of(params, "name") or "null")
            arguments = member_of(params, "arguments") or ""
            caller = {
                "issuer": claims["sub_id"]["iss"],
                "subject": claims["sub"],
                "actor": claims["act"]["sub"],
                "client": claims["client_id"],
                "tenant": claims["tenant"],
            }
            jti, exp = claims["jti"], claims["exp"]
        except NotVouchedFor:
            raise
        except (ValueError, TypeError, LookupError, AttributeError) as cause:
            raise NotVouchedFor("the call or its assertion is malformed") from cause
        if claims.get("tool") != tool:
            raise NotVouchedFor("the assertion is for another tool")
        if claims.get("args_sha256") != _base64url(hashlib.sha256(arguments.encode()).digest()):
            raise NotVouchedFor("the assertion is for other arguments")
        self._claim_once(jti, exp)
        return caller

    def _verified(self, token):
        if not isinstance(token, str):
            raise NotVouchedFor("the call has no caller assertion")
        head, payload, signature = token.split(".")
        header = json.loads(_bytes(head))
        # Whatever else the gate signs is no caller assertion.
        if header.get("typ") != "callgate-caller+jwt" or "crit" in header:
            raise NotVouchedFor("the token is no caller assertion")
        keys = [key for key in self._keys if key.get("kid") == header.get("kid")]
        if len(keys) != 1:
            raise NotVouchedFor("the assertion is not signed by a key of the gate")
        _check(keys[0], header["alg"], f"{head}.{payload}".encode(), _bytes(signature))
        claims = json.loads(_bytes(payload))
        now, exp, iat = self._now(), claims["exp"], claims["iat"]
        if claims["iss"] != self._issuer or claims["aud"] != self._server:
            raise NotVouchedFor("the assertion is of another gate or for another server")
        if exp - iat > MAX_LIFE_S or now >= exp + CLOCKS_S or now < iat - CLOCKS_S:
            raise NotVouchedFor("the assertion is expired, or wider than one call")
        return claims

    def _claim_once(self, jti, exp):
        # One process only: servers of several processes share this in their database.
        now = self._now()
        self._seen = {old: until for old, until in self._seen.items() if until > now}
        if jti in self._seen:
            raise NotVouchedFor("the assertion was used before")
        self._seen[jti] = exp + CLOCKS_S


def _check(jwk, alg, signed, signature):
    """The key says which algorithm may be used with it; the token is not asked."""
    try:
        if jwk["kty"] == "OKP" and jwk["crv"] == "Ed25519" and alg in ("EdDSA", "Ed25519"):
            ed25519.Ed25519PublicKey.from_public_bytes(_bytes(jwk["x"])).verify(signature, signed)
        elif jwk["kty"] == "EC" and jwk["crv"] == "P-256" and alg == "ES256" and len(signature) == 64:
            x, y, r, s = (
                int.from_bytes(part, "big")
                for part in (_bytes(jwk["x"]), _bytes(jwk["y"]), signature[:32], signature[32:])
            )
            key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
        else:
            raise NotVouchedFor("the key of the gate is not one for this algorithm")
    except InvalidSignature:
        raise NotVouchedFor("the assertion is not signed by the gate") from None


def _bytes(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE = json.JSONDecoder()


def member_of(text, name):
    """Text of a member of a JSON object exactly as it is written there; None: no such member.

    A member that is there twice is refused: another parser could read the other one.
    """
    found = None
    at = _skip(text, _skip(text, 0, "{"))
    while text[at] != "}":
        key, at = _VALUE.raw_decode(text, at)
        begin = _skip(text, _skip(text, at, ":"))
        _, end = _VALUE.raw_decode(text, begin)
        if key == name:
            if found is not None:
                raise NotVouchedFor(f"the call has two members `{name}`")
            found = text[begin:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text, at, expected=""):
    """Position after white space, and after what must stand there."""
    at = _SPACE.match(text, at).end()
    if not text.startswith(expected, at):
        raise ValueError("not an object")
    return at + len(expected)
