"""Robots, supervisors and logs of Nudge, from Python.

Robot        a robot of yours, driven by the daemon
Supervisor   takes over, drives, speaks, labels, hands back
LogReader    episodes as numpy arrays, of a daemon or of its files
Daemon       the daemon's REST surface

`nudge.gymnasium` and `nudge.lerobot` connect what other projects made.
"""

from nudge.images import Image, pillow_encoder
from nudge.log import Episode, LogReader
from nudge.rest import Daemon, token
from nudge.robot import Observation, Robot
from nudge.robot_link import RobotStats
from nudge.spec import Camera, Channel, RobotSpec
from nudge.status import Code, NudgeError
from nudge.supervisor import Command, Supervisor
from nudge.version import __version__
from nudge.wire import Ack, Authority, Role, Source, State

__all__ = [
    "Ack",
    "Authority",
    "Camera",
    "Channel",
    "Code",
    "Command",
    "Daemon",
    "Episode",
    "Image",
    "LogReader",
    "NudgeError",
    "Observation",
    "Robot",
    "RobotSpec",
    "RobotStats",
    "Role",
    "Source",
    "State",
    "Supervisor",
    "__version__",
    "pillow_encoder",
    "token",
]
