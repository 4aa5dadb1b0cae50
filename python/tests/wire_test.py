#!/usr/bin/env python3
"""The bytes of both protocols, as the golden files have them."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import unittest

import numpy as np
import support
from support import GOLDEN, golden

import nudge
from nudge import wire
from nudge.status import Code, NudgeError

SESSION = 0x01020304


class Robots(unittest.TestCase):
    def read(self, name: str) -> wire.RobotCommand:
        session, command = wire.decode_robot_command(golden(f"robot-{name}.hex"))
        self.assertEqual(session, 0 if name == "refusal" else SESSION)
        return command

    def test_commands_are_read_as_they_are_meant(self) -> None:
        self.assertEqual(self.read("welcome"), wire.Welcome(1, "nudge 0.1.0"))
        self.assertEqual(self.read("refusal"), wire.Refusal(wire.Reason.BUSY, "one at a time"))
        self.assertEqual(self.read("hold"), wire.Hold())
        self.assertEqual(self.read("estop"), wire.Estop())
        self.assertEqual(self.read("reset_estop"), wire.ResetEstop(9))
        self.assertEqual(self.read("reset"), wire.Reset(10, 0xFEDCBA9876543210))

    def test_an_action_is_read_with_its_values(self) -> None:
        action = self.read("action")
        assert isinstance(action, wire.RobotAction)
        self.assertEqual((action.sequence, action.tick, action.deadline_ns), (5, 41, 40_000_000))
        self.assertEqual(action.action.tolist(), [0.5, -1.0])

    def test_a_hello_is_written_byte_for_byte(self) -> None:
        spec = nudge.RobotSpec(
            id="arm",
            proprioception=[nudge.Channel(axis, "m", -1, 1) for axis in "xy"],
            object_state=[nudge.Channel("block", "m", -1, 1)],
            action=[nudge.Channel(axis, "m/s", -0.25, 0.25) for axis in "xy"],
            cameras=[nudge.Camera("front", 64, 48)],
            control_period_ns=5_000_000,
            policy_period_ns=20_000_000,
        )
        hello = wire.RobotHello(
            "nudge-client 0.1.0",
            "00112233445566ff",
            spec.to_json(),
            ("reset", "estop", "cameras"),
        )
        self.assertEqual(wire.encode_robot_hello(hello), golden("robot-hello.hex"))

    def test_an_observation_is_written_byte_for_byte(self) -> None:
        observation = wire.RobotObservation(
            tick=41,
            time_ns=7_000_000_000,
            sent_ns=7_001_000_000,
            applied=12,
            proprioception=np.array([0.5, -0.25], np.float32),
            object_state=np.array([1.5], np.float32),
            success=True,
            holding=True,
            frames=[wire.CameraFrame(0, 64, 48, 6_000_000_000, b"\xff\xd8\xff\xd9")],
        )
        self.assertEqual(
            wire.encode_robot_observation(observation, SESSION), golden("robot-observation.hex")
        )

        over = dataclasses.replace(observation, success=False, over=2)
        self.assertEqual(
            wire.encode_robot_observation(over, SESSION), golden("robot-observation-over.hex")
        )

    def test_a_report_is_written_byte_for_byte(self) -> None:
        report = wire.RobotReport(3, wire.ReportOf.RESET, Code.UNAVAILABLE, "no answer")
        self.assertEqual(wire.encode_robot_report(report, SESSION), golden("robot-report.hex"))

    def test_a_frame_that_breaks_a_rule_is_refused(self) -> None:
        whole = golden("robot-action.hex")
        not_finite = whole[:-4] + b"\x00\x00\xc0\x7f"
        for frame, what in (
            (b"", "empty"),
            (whole[:-1], "cut off"),
            (whole + b"\0", "too long"),
            (b"NADG" + whole[4:], "another magic"),
            (not_finite, "not finite"),
            (whole[:16] + bytes(8) + whole[24:], "sequence 0"),
            (golden("robot-hello.hex"), "none of the daemon's"),
            (golden("teleop-state.hex"), "of the other port"),
        ):
            with self.subTest(what), self.assertRaises(NudgeError) as caught:
                wire.decode_robot_command(frame)
            self.assertEqual(caught.exception.code, Code.INVALID_ARGUMENT)

    def test_another_major_version_is_told_apart(self) -> None:
        frame = golden("robot-hold.hex")
        with self.assertRaises(NudgeError) as caught:
            wire.decode_robot_command(frame[:4] + b"\x02" + frame[5:])
        self.assertEqual(caught.exception.code, Code.UNIMPLEMENTED)

    def test_fields_of_a_later_minor_version_are_ignored(self) -> None:
        frame = bytearray(golden("robot-hold.hex") + b"more")
        frame[5], frame[8] = 2, 4
        self.assertEqual(wire.decode_robot_command(bytes(frame))[1], wire.Hold())


class Teleoperation(unittest.TestCase):
    def test_a_welcome_is_read(self) -> None:
        session, welcome = wire.decode_teleop_reply(golden("teleop-welcome.hex"))
        self.assertEqual(session, SESSION)
        self.assertEqual(
            welcome,
            wire.TeleopWelcome(
                version=1,
                role=wire.Role.SCRIPT,
                action_size=4,
                control_period_ns=20_000_000,
                policy_period_ns=100_000_000,
                fresh_ns=200_000_000,
                name="leader arm#t1",
                program="nudge 0.1.0",
                robot="kitchen",
            ),
        )

    def test_a_state_is_read_with_its_values(self) -> None:
        _, state = wire.decode_teleop_reply(golden("teleop-state.hex"))
        assert isinstance(state, wire.State)
        self.assertEqual(state.tick, 1234)
        self.assertEqual(state.state, wire.Authority.HUMAN)
        self.assertEqual(state.source, wire.Source.HUMAN)
        self.assertEqual((state.mine, state.success, state.recording), (True, False, True))
        self.assertEqual((state.policy_step, state.autonomous, state.step_limit), (12, 9, 100))
        self.assertEqual((state.epoch, state.episode, state.weights), (3, 7, 4))
        self.assertEqual((state.holder, state.holder_role), ("leader arm#t1", wire.Role.SUPERVISOR))
        self.assertEqual(state.proprioception.tolist(), [0.5, 0.25])
        self.assertEqual(state.object_state.tolist(), [0.125])

    def test_an_ack_is_read(self) -> None:
        _, ack = wire.decode_teleop_reply(golden("teleop-ack.hex"))
        assert isinstance(ack, wire.Ack)
        self.assertEqual((ack.id, ack.ok, ack.code), ("id-1", False, Code.FAILED_PRECONDITION))
        self.assertEqual((ack.message, ack.holder, ack.epoch), ("busy", "anna", 2))

    def test_a_refusal_is_read(self) -> None:
        _, refusal = wire.decode_teleop_reply(golden("teleop-refusal.hex"))
        self.assertEqual(refusal, wire.Refusal(wire.Reason.TOKEN, "no such token"))

    def test_what_was_not_done_is_no_success_whatever_its_code(self) -> None:
        ack = wire.ack_of({"ok": False, "code": "ok"})
        self.assertEqual((ack.ok, ack.code), (False, Code.INTERNAL))

    def test_messages_are_written_byte_for_byte(self) -> None:
        action = np.array([0.5, -1, 0, 0], np.float32)
        jog = wire.Jog("kitchen", 3, 17, 1234, True, action)
        joints = np.array([0.25, -1.5], np.float32)
        leader = wire.Jog("kitchen", 3, 17, 1234, True, action, joints)
        hello = wire.TeleopHello(
            "nudge-teleop", "00112233445566ff", "leader arm", "secret", "kitchen", 2
        )
        feedback = b'{"type": "takeover", "id": "id-1"}'
        for name, frame in (
            ("hello", wire.encode_teleop_hello(hello)),
            ("jog", wire.encode_jog(jog, SESSION)),
            ("leader-jog", wire.encode_jog(leader, SESSION)),
            ("feedback", wire.encode_feedback(feedback, SESSION)),
            ("alive", wire.encode_alive(SESSION)),
            ("bye", wire.encode_bye(SESSION)),
        ):
            with self.subTest(name):
                self.assertEqual(frame, golden(f"teleop-{name}.hex"))

    def test_a_reply_that_breaks_a_rule_is_refused(self) -> None:
        state = golden("teleop-state.hex")
        for frame in (state[:-1], state[:40] + b"\x09" + state[41:], golden("robot-action.hex")):
            with self.assertRaises(NudgeError):
                wire.decode_teleop_reply(frame)


class Anything(unittest.TestCase):
    def test_no_bytes_raise_anything_but_our_error(self) -> None:
        frames = [support.golden(path.name) for path in (GOLDEN / "ports").glob("*.hex")]
        self.assertGreater(len(frames), 15)
        chance = random.Random(7)
        for _ in range(20_000):
            frame = bytearray(chance.choice(frames))
            for _ in range(chance.randrange(1, 4)):
                frame[chance.randrange(len(frame))] = chance.choice((0, 1, 127, 255, 34, 123))
            if chance.random() < 0.3:
                del frame[chance.randrange(len(frame)) :]
            for decode in (wire.decode_robot_command, wire.decode_teleop_reply):
                with contextlib.suppress(NudgeError):
                    decode(bytes(frame))


if __name__ == "__main__":
    support.main()
