"""What the ways to an appliance, cameras and screens can answer with instead of a result."""

from __future__ import annotations

from .kinds import BackendUnreachable, UsageProblem


class LinkInvalid(UsageProblem):
    """This is not a link to an appliance."""

    code = "link"
    default_hint = (
        "a link is serial:/dev/…, serial:/dev/…,BAUDRATE, qr, qr:CAMERA,SCREEN or file:/FOLDER; "
        "nothing else is allowed, no network"
    )


class ApplianceSilent(BackendUnreachable):
    """The appliance does not answer."""

    code = "appliance-silent"
    default_hint = (
        "is it switched on and connected, are both ends of a cable set to one speed, "
        "and does its owner have a question on the screen?"
    )


class ApplianceUnplugged(BackendUnreachable):
    """The appliance's line cannot be opened."""

    code = "appliance-unplugged"
    default_hint = "check the cable and the device path: undercroft appliance list"


class CameraAway(BackendUnreachable):
    """The camera gives no pictures."""

    code = "camera"
    default_hint = "name another one: --camera /dev/video1, or camera in [qr] of undercroft.toml"


class ScreenAway(BackendUnreachable):
    """The codes cannot be shown."""

    code = "screen"
    default_hint = "another --screen or --version, or a picture file: --gif FILE, --png FILE"


class CodesMissing(BackendUnreachable):
    """Not all codes came through the camera in time."""

    code = "codes-missing"
    default_hint = "hold it steady, nearer, without glare"
