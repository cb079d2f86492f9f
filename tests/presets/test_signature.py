"""Signatures: made by OpenSSH or by tuiwiz, believed for the file and the purpose that they were made for, only."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.presets import trust
from tuiwiz.presets.fetch import fetch
from tuiwiz.presets.find import all_presets, forget
from tuiwiz.presets.share import Offer, look_at, sources, store
from tuiwiz.presets.signature import NAMESPACE, key_of, sign, signers_of, verify
from tuiwiz.presets.write import digest_of
from tuiwiz.ui import gallery
from tuiwiz.ui.glyphs import UNICODE

PRESET = 'name = "mine"\nextends = "chat"\n[when]\ntask = "chat"\n[schedule]\nepochs = 4.0\n'


@pytest.fixture(autouse=True)
def fresh(own_home: Path) -> None:
    forget()


def make_key(folder: Path, name: str = "key") -> Path:
    private = Ed25519PrivateKey.generate()
    path = folder / name
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public + b" anna@home\n")
    return path


def signed(folder: Path, key: Path, text: str = PRESET) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    path.with_name("mine.toml.sig").write_text(sign(text.encode(), key), encoding="ascii")
    return path


def offer_of(path: Path) -> Offer:
    return look_at(fetch(str(path)))[0]


def test_a_signature_names_a_trusted_key_and_shows_on_the_page(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    path = signed(tmp_path, key)
    stranger = offer_of(path)
    assert stranger.ok and stranger.signer is not None and "an unknown key" in stranger.signer.words
    fingerprint = trust.trust(key.with_suffix(".pub"), "anna")
    offer = offer_of(path)
    assert offer.signer is not None and offer.signer.words == f"signed by anna ({fingerprint})"
    store(offer)
    row = next(row for row in gallery.rows() if row.name == "mine")
    assert f"signed by anna ({fingerprint})" in gallery.page(row, "M", 200, UNICODE).plain
    stored = all_presets().presets["mine"]
    stored.path.write_text(stored.path.read_text(encoding="utf-8").replace("4.0", "5.0"), encoding="utf-8")
    forget()
    assert "changed since" in sources()["mine"].signed(digest_of(all_presets().presets["mine"]))


def test_a_changed_file_a_lost_signature_and_another_key_are_refused(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    path = signed(tmp_path, key)
    path.write_text(PRESET.replace("4.0", "3.0"), encoding="utf-8")
    assert "does not belong to this file" in offer_of(path).problems[-1].message
    signed(tmp_path, key)
    store(offer_of(path))
    signed(tmp_path, make_key(tmp_path, "other"), PRESET.replace("4.0", "3.0"))
    assert "another key" in offer_of(path).problems[-1].message
    path.with_name("mine.toml.sig").unlink()
    assert "now is not" in offer_of(path).problems[-1].message


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
@pytest.mark.parametrize("kind", [["ed25519"], ["ecdsa", "-b", "384"], ["rsa", "-b", "2048"]])
def test_openssh_and_tuiwiz_read_each_other(kind: list[str], tmp_path: Path) -> None:
    def keygen(*words: str, data: bytes = b"") -> None:
        subprocess.run(["ssh-keygen", *words], input=data, capture_output=True, check=True)

    key, file = tmp_path / "key", tmp_path / "p.toml"
    file.write_text(PRESET, encoding="utf-8")
    keygen("-q", "-t", kind[0], *kind[1:], "-N", "", "-f", str(key))
    keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file))
    public = key_of(key.with_suffix(".pub").read_text(encoding="ascii"))
    assert (
        verify(PRESET.encode(), file.with_name("p.toml.sig").read_text(encoding="ascii"), {public: "me"}).name == "me"
    )
    if kind[0] == "ecdsa":
        with pytest.raises(UsageError, match="neither"):
            sign(PRESET.encode(), key)
        return
    (tmp_path / "ours").write_text(sign(PRESET.encode(), key), encoding="ascii")
    (tmp_path / "allowed").write_text(f"me {public}\n", encoding="ascii")
    known = ("-f", str(tmp_path / "allowed"), "-I", "me", "-n", NAMESPACE, "-s", str(tmp_path / "ours"))
    keygen("-Y", "verify", *known, data=PRESET.encode())


def test_what_was_signed_for_another_purpose_or_is_no_signature_is_refused(tmp_path: Path) -> None:
    good = sign(PRESET.encode(), make_key(tmp_path))
    blob = bytearray(base64.b64decode("".join(good.splitlines()[1:-1])))
    for changed, reason in (
        (good.replace("SSH SIGNATURE", "PGP SIGNATURE"), "cannot be read"),
        ("", "cannot be read"),
        ("x" * 20_000, "cannot be read"),
        (armor(bytes(blob).replace(NAMESPACE.encode(), b"other-purpose")), "not for a preset"),
        (armor(bytes(blob).replace(b"sha512", b"sha5ll")), "unknown hash"),
        (armor(bytes(blob).replace(b"ssh-ed25519", b"sk-ed25519@")), "are not read"),
        (armor(bytes(blob[:-5])), "cut short"),
        (armor(bytes(blob) + b"more"), "behind its end"),
    ):
        with pytest.raises(InvalidError, match=reason):
            verify(PRESET.encode(), changed, {})


def armor(blob: bytes) -> str:
    text = base64.b64encode(blob).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_any_envelope_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(InvalidError):
        verify(b"x", armor(b"SSHSIG" + (1).to_bytes(4, "big") + data), {})


def test_a_list_of_signers_is_read_and_never_silently_rewritten(tmp_path: Path) -> None:
    one, two = make_key(tmp_path, "one"), make_key(tmp_path, "two")
    trust.trust(one.with_suffix(".pub"), "anna")
    trust.trust(one.with_suffix(".pub"), "anna")
    for key, name, reason in (
        (two, "anna", "another key"),
        (one, "bert", "already trusted as anna"),
        (two, "a b", "no"),
    ):
        with pytest.raises(UsageError, match=reason):
            trust.trust(key.with_suffix(".pub"), name)
    with pytest.raises(UsageError, match="no public ssh key"):
        trust.trust(one, "carl")
    assert list(trust.allowed().values()) == ["anna"]
    text = trust.path().read_text(encoding="utf-8")
    assert signers_of(f'# note\n\n{text}bad line\nx namespaces="y" {key_of(text)}\n') == {key_of(text): "anna"}
    with pytest.raises(UsageError, match="without passphrase"):
        sign(b"x", one.with_suffix(".pub"))
