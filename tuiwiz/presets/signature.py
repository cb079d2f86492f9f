"""Detached OpenSSH signatures of preset files: `ssh-keygen -Y sign -f KEY -n tuiwiz-preset FILE` writes FILE.sig.

Format: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig. Keys and the mathematics are those of
`cryptography`; only the envelope is taken apart here. Whom a key belongs to is said by the user's own list of allowed
signers, in OpenSSH's format: one `NAME KEYTYPE KEY` a line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError, UsageError

NAMESPACE = "tuiwiz-preset"
"""What a signature is for: one made for git or mail says nothing about a preset."""
LARGEST_SIGNATURE = 16 * 1024
"""Bytes of a signature file."""
HASHES = {b"sha512": "sha512", b"sha256": "sha256"}
_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ARMOR = re.compile(f"{_BEGIN}\\s+([A-Za-z0-9+/=\\s]+?){_END}\\s*")
_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/=]+)")


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed: `name` of the allowed signer, empty where the key is not in the list; `key` as `KEYTYPE KEY`."""

    name: str
    key: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)

    @property
    def words(self) -> str:
        return f"signed by {self.name or 'an unknown key'} ({self.fingerprint})"


def fingerprint(key: str) -> str:
    """As `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def verify(data: bytes, armored: str, allowed: Mapping[str, str]) -> Signer:
    """Who signed `data`. `allowed`: key (`KEYTYPE KEY`) -> name.

    Raises:
        InvalidError: the signature does not belong to this file, is none, or is of a kind that is not read.
    """
    key, algorithm, signature, hashed = _open(armored)
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    message = _message(hashed, data)
    try:
        _check(load_ssh_public_key(key.encode()), algorithm, signature, message)
    except InvalidSignature as error:
        raise InvalidError(
            "its signature does not belong to this file", hint="it was changed after it was signed: get it anew"
        ) from error
    except (ValueError, UnsupportedAlgorithm, TypeError) as error:
        raise _unreadable(str(error)) from error
    return Signer(name=allowed.get(key, ""), key=key)


def sign(data: bytes, key_file: Path) -> str:
    """The armored signature of `data` by a private OpenSSH key without passphrase.

    Raises:
        UsageError: no such key, or one that cannot be used here.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

    by_hand = f"`ssh-keygen -Y sign -f {key_file} -n {NAMESPACE} FILE` signs with any key"
    try:
        private = serialization.load_ssh_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"{key_file} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{key_file} is no private ssh key without passphrase", hint=by_hand) from error
    message = _message(b"sha512", data)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        algorithm, raw = b"ssh-ed25519", private.sign(message)
    elif isinstance(private, rsa.RSAPrivateKey):
        algorithm, raw = b"rsa-sha2-512", private.sign(message, padding.PKCS1v15(), hashes.SHA512())
    else:
        raise UsageError(f"{key_file} is neither an Ed25519 nor an RSA key", hint=by_hand)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    blob = b"".join(
        (
            _MAGIC + (1).to_bytes(4, "big"),
            _string(base64.b64decode(public.split()[1])),
            _string(NAMESPACE.encode()),
            _string(b""),
            _string(b"sha512"),
            _string(_string(algorithm) + _string(raw)),
        )
    )
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def key_of(text: str) -> str:
    """The `KEYTYPE KEY` in a line of a `.pub` file or of a list of allowed signers.

    Raises:
        UsageError: there is none.
    """
    match = _KEY.search(text)
    if match is None:
        raise UsageError("no public ssh key in it", hint="the .pub file of an Ed25519, ECDSA or RSA key")
    return match[0]


def signers_of(text: str) -> dict[str, str]:
    """A list of allowed signers: key -> name; lines without a key are passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, rest = line.strip().partition(" ")
        match = _KEY.search(rest)
        if match and not name.startswith("#"):
            found.setdefault(match[0], name)
    return found


def _open(armored: str) -> tuple[str, bytes, bytes, bytes]:
    """Key, algorithm, signature and name of the hash of an envelope for our namespace."""
    match = _ARMOR.fullmatch(armored.strip() + "\n") if len(armored) <= LARGEST_SIGNATURE else None
    if match is None:
        raise _unreadable("no SSH signature")
    try:
        blob = base64.b64decode("".join(match[1].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable("no base64") from error
    if blob[:6] != _MAGIC or blob[6:10] != (1).to_bytes(4, "big"):
        raise _unreadable("no SSH signature of version 1")
    key, namespace, _, hashed, inner = _strings(blob[10:], 5)
    if namespace != NAMESPACE.encode():
        raise InvalidError(
            f"its signature is for {namespace.decode('utf-8', 'replace')[:40]!r}, not for a preset",
            hint=f"sign with -n {NAMESPACE}",
        )
    if hashed not in HASHES:
        raise _unreadable("an unknown hash")
    algorithm, signature = _strings(inner, 2)
    kind = _strings(key, 1)[0].decode("ascii", "replace")
    text = f"{kind} {base64.b64encode(key).decode()}"
    if not _KEY.fullmatch(text):
        raise _unreadable(f"keys of type {kind[:40]} are not read")
    return text, algorithm, signature, hashed


def _message(hashed: bytes, data: bytes) -> bytes:
    digest = hashlib.new(HASHES[hashed], data).digest()
    return _MAGIC + _string(NAMESPACE.encode()) + _string(b"") + _string(hashed) + _string(digest)


def _check(public: Any, algorithm: bytes, signature: bytes, message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if isinstance(public, ed25519.Ed25519PublicKey) and algorithm == b"ssh-ed25519":
        public.verify(signature, message)
    elif isinstance(public, rsa.RSAPublicKey) and algorithm in (b"rsa-sha2-512", b"rsa-sha2-256"):
        hashed = hashes.SHA512() if algorithm.endswith(b"512") else hashes.SHA256()
        public.verify(signature, message, padding.PKCS1v15(), hashed)
    elif isinstance(public, ec.EllipticCurvePublicKey) and algorithm.startswith(b"ecdsa-sha2-nistp"):
        size = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[public.curve.key_size]
        r, s = (int.from_bytes(one, "big") for one in _strings(signature, 2))
        public.verify(encode_dss_signature(r, s), message, ec.ECDSA(size))
    else:
        raise ValueError("key and signature are of different kinds")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _strings(data: bytes, count: int) -> list[bytes]:
    """So many length-prefixed strings, and nothing behind them."""
    found = []
    for _ in range(count):
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            raise _unreadable("it is cut short")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    if data and count > 1:
        raise _unreadable("something stands behind its end")
    return found


def _unreadable(why: str) -> InvalidError:
    return InvalidError(f"its signature cannot be read: {why}", hint=f"ssh-keygen -Y sign -n {NAMESPACE} writes one")
