"""Everything the protocol can refuse, each with a stable code.

A class per kind; its docstring is the message, the argument says which bytes or which field.
"""

from __future__ import annotations

from typing import ClassVar


class ProtocolError(Exception):
    """The protocol was not followed."""

    code: ClassVar[str] = "protocol"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        message = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{message.rstrip('.')}: {detail}" if detail else message)


class CborError(ProtocolError):
    """These bytes are not deterministic CBOR."""

    code = "cbor"


class CoseError(ProtocolError):
    """This is not a COSE_Sign1 object of the expected type."""

    code = "cose"


class SignatureError(ProtocolError):
    """The signature does not verify."""

    code = "signature"


class MessageError(ProtocolError):
    """A message has a field that its type does not allow."""

    code = "message"


class TransactionError(ProtocolError):
    """These bytes are not a Bitcoin transaction in its one canonical form."""

    code = "transaction"


class ScriptError(ProtocolError):
    """This script cannot be built or understood."""

    code = "script"


class KeyFormatError(ProtocolError):
    """This is not a valid public or extended public key."""

    code = "key-format"


class DescriptorError(ProtocolError):
    """This is not a descriptor that a quorum can use."""

    code = "descriptor"


class AddressError(ProtocolError):
    """This is not an address of the expected network."""

    code = "address"


class PsbtError(ProtocolError):
    """This PSBT cannot be written or read."""

    code = "psbt"


class PsbtVersionError(PsbtError):
    """Only version 0 of the PSBT format (BIP 174) is supported."""

    code = "psbt-version"


class PsbtFieldError(PsbtError):
    """This PSBT has a field that does not belong there."""

    code = "psbt-field"


class PsbtSighashError(PsbtError):
    """This PSBT asks for, or has, a signature with another sighash than ALL."""

    code = "psbt-sighash"


class PsbtFinalError(PsbtError):
    """This PSBT is final, or partly final, already."""

    code = "psbt-final"


class LinkError(ProtocolError):
    """The link to the other side failed."""

    code = "link"


class LinkDeadError(LinkError):
    """The line is dead: nothing answers on it; check the cable and whether the other side is running."""

    code = "link-dead"


class DevicePathError(LinkError):
    """Only the path of a serial device can be opened; URLs and network links are refused."""

    code = "device-path"


class LinkTimeoutError(LinkError):
    """The other side did not finish in the time allowed; it may still be working."""

    code = "link-timeout"


class FrameError(LinkError):
    """These bytes are not a frame of the serial link."""

    code = "frame"


class SqueezeError(LinkError):
    """These bytes are not a compressed message."""

    code = "squeeze"


class QrError(LinkError):
    """The codes do not carry a message."""

    code = "qr"


class QrSymbolError(QrError):
    """This code is no part of a message that can be read here."""

    code = "qr-symbol"


class QrMessageError(QrError):
    """The codes were read, but together they are no message."""

    code = "qr-message"


class QrSizeError(QrError):
    """This does not fit into the codes that were asked for; choose a larger version."""

    code = "qr-size"


class CameraError(LinkError):
    """The camera gives no pictures; check its cable and its name."""

    code = "camera"


class ScreenError(LinkError):
    """The codes cannot be shown there."""

    code = "screen"


class FolderError(LinkError):
    """The folder that carries the messages cannot be used."""

    code = "folder"


class FolderFileError(FolderError):
    """A file in the folder is not what its name says; remove it, and find out who put it there."""

    code = "folder-file"
