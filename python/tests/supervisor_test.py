#!/usr/bin/env python3
"""A supervisor in Python at the real daemon: takes over, drives, speaks, labels, hands back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import support
from support import Point, RobotCase

import nudge
from nudge import Authority, Code, NudgeError, Role


class Supervising(RobotCase):
    def setUp(self) -> None:
        super().setUp()
        self.point = Point()
        self.serve(self.point)
        self.start_daemon()

    def code_of(self, act: object, *arguments: object, **more: object) -> Code:
        with self.assertRaises(NudgeError) as caught:
            act(*arguments, **more)  # type: ignore[operator]
        code = caught.exception.code
        assert isinstance(code, Code)
        return code

    def test_says_who_it_is_and_what_it_drives(self) -> None:
        supervisor = self.supervisor("supervisor", name="gamepad")
        welcome = supervisor.welcome
        self.assertTrue(welcome.name.startswith("gamepad#t"))
        self.assertEqual((welcome.robot, welcome.action_size), ("point", 2))
        self.assertEqual(welcome.role, Role.SUPERVISOR)
        self.assertEqual(welcome.control_period_ns, 20_000_000)
        self.assertTrue(supervisor.connected)

    def test_sees_every_new_state_once(self) -> None:
        supervisor = self.supervisor(every=1)
        ticks = []
        for state in supervisor.states():
            ticks.append(state.tick)
            if len(ticks) == 20:
                break
        self.assertEqual(ticks, sorted(set(ticks)))
        self.assertEqual(supervisor.state().object_state.tolist(), self.point.goal.tolist())

    def test_one_drives_at_a_time_and_the_other_is_told_who(self) -> None:
        anna, ben = self.supervisor(name="anna"), self.supervisor(name="ben")

        def told() -> bool:
            with contextlib.suppress(NudgeError):
                self.take_over(anna)
            try:
                ben.takeover()
            except NudgeError as error:
                self.assertEqual(error.code, Code.FAILED_PRECONDITION)
                return "anna#t" in error.message
            ben.release()  # a busy machine had taken the robot away from her
            return False

        # The lease is hers before she drives.
        self.wait_until(told, "the other one's name")
        anna.release()
        ben.wait_for(lambda state: not state.holder)

        def taken() -> bool:
            with contextlib.suppress(NudgeError):
                self.take_over(ben)
                return True
            return False

        self.wait_until(taken, "the lease that is free")

    def test_driving_ends_when_the_robot_is_taken_away(self) -> None:
        supervisor, viewer = self.supervisor(), self.supervisor("viewer", name="viewer")
        asked: list[nudge.Ack] = []
        finished: list[bool] = []

        def command(state: nudge.State) -> tuple[float, float]:
            if not asked and state.state == Authority.HUMAN:
                asked.append(viewer.hold())
            return (0.5, 0.5)

        while not asked:
            with contextlib.suppress(NudgeError):
                self.take_over(supervisor)
                finished.append(supervisor.drive(command, timeout_s=60))
        self.assertFalse(finished[-1])
        self.assertNotIn(supervisor.state().state, (Authority.TAKEOVER, Authority.HUMAN))

    def test_a_command_that_was_made_from_an_old_state_moves_nothing(self) -> None:
        supervisor = self.supervisor()
        old = supervisor.state()
        supervisor.wait_for(lambda state: state.now_ns - old.now_ns > 10**9)
        before = len(self.point.moves)
        refused = self.refused().get("stale", 0)
        for state in supervisor.states():
            if not state.mine:
                with contextlib.suppress(NudgeError):
                    self.take_over(supervisor)
            supervisor.jog((1.0, 1.0), state=old)
            if self.refused().get("stale", 0) > refused + 3:
                break
            self.assertLess(state.now_ns - old.now_ns, 200e9)
        self.assertFalse(any(action.any() for _, action in self.point.moves[before:]))

    def test_a_jog_of_the_wrong_size_is_refused_before_it_is_sent(self) -> None:
        self.assertEqual(self.code_of(self.supervisor().jog, (1, 2, 3)), Code.INVALID_ARGUMENT)

    def test_what_a_role_may_not_is_refused_with_its_code(self) -> None:
        viewer = self.supervisor("viewer")
        self.assertEqual(self.code_of(viewer.takeover), Code.PERMISSION_DENIED)
        self.assertEqual(
            self.code_of(self.supervisor("supervisor").promote, 1), Code.PERMISSION_DENIED
        )

    def test_words_labels_undo_and_versions_are_answered(self) -> None:
        supervisor = self.supervisor()
        self.drive(supervisor, lambda _: (0.5, 0.5), lambda: supervisor.state().policy_step >= 3)
        self.assertIn("stop", supervisor.words("stop").echo)
        self.assertTrue(supervisor.words("pick the cup", "comment").ok)
        self.assertTrue(supervisor.label("success").ok)
        self.assertTrue(supervisor.label("none").ok)
        self.assertTrue(supervisor.undo(0.1).ok)
        self.assertEqual(self.code_of(supervisor.label, "good"), Code.INVALID_ARGUMENT)
        # There are no weights.
        self.assertNotEqual(self.code_of(supervisor.roll_back), Code.OK)
        self.assertNotEqual(self.code_of(supervisor.promote, 7), Code.OK)

    def test_the_rest_surface_says_and_does_the_same(self) -> None:
        status = self.daemon.status()
        self.assertIn(status["state"], ("HOLD", "FAULT_HOLD"))
        self.assertEqual(self.daemon.weights()["versions"], [])
        self.assertEqual(self.daemon.episodes(), [])
        self.assertTrue(self.daemon.send("stop").ok)
        self.supervisor().wait_for(Authority.ESTOP)
        ack = self.daemon.send("hand_back")
        self.assertFalse(ack.ok)
        self.assertEqual(ack.code, Code.FAILED_PRECONDITION)
        self.assertTrue(self.daemon.send("reset_stop").ok)

    def test_an_act_on_what_has_changed_meanwhile_is_refused(self) -> None:
        path = "/api/v1/weights"
        self.assertEqual(self.daemon.get(path), self.daemon.get(path))
        self.assertRegex(self.daemon.tag(path), r'^"[0-9a-f]{32}"$')
        stale = self.daemon.send("roll_back", if_match='"another"')
        self.assertEqual((stale.ok, stale.code), (False, nudge.Code.ABORTED))
        fresh = self.daemon.send("roll_back", if_match=self.daemon.tag(path))
        self.assertNotEqual(fresh.code, nudge.Code.ABORTED)  # there are no weights at all

    def test_an_act_whose_answer_is_lost_is_sent_again_and_done_once(self) -> None:
        lost = nudge.Daemon(f"http://127.0.0.1:{self.loses_the_first_answer()}", self.daemon._token)
        ack = lost.send("words", id="lost:1", text="hello", meant="comment")
        self.assertTrue(ack.ok, ack)
        said = self.daemon.get("/api/v1/phrases")["last"]
        self.assertEqual(said.count("hello"), 1)

    def loses_the_first_answer(self) -> int:
        """A port at which the first connection ends as soon as the daemon has answered."""
        there = ("127.0.0.1", int(self.daemon.address.rsplit(":", 1)[1]))
        host = f"127.0.0.1:{there[1]}".encode()
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve() -> None:
            for keeps in (False, True):
                here, _ = listener.accept()
                with here, socket.create_connection(there) as daemon:
                    asked = here.recv(1 << 16)
                    while b"\r\n\r\n" not in asked or not asked.endswith(b"}"):
                        asked += here.recv(1 << 16)
                    mine = f"127.0.0.1:{listener.getsockname()[1]}".encode()
                    daemon.sendall(asked.replace(mine, host))
                    answer = b""
                    while not answer.endswith(b"}"):
                        answer += daemon.recv(1 << 16)
                    if keeps:
                        here.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    def test_without_the_right_token_nothing_is_said(self) -> None:
        stranger = nudge.Daemon(self.daemon.address, "x" * 43)
        self.assertEqual(self.code_of(stranger.status), Code.PERMISSION_DENIED)
        self.assertEqual(
            self.code_of(self.supervisor, token="x" * 43, patience_s=30), Code.PERMISSION_DENIED
        )

    def test_another_robot_than_the_daemons_is_refused(self) -> None:
        self.assertEqual(
            self.code_of(self.supervisor, robot="other", patience_s=30), Code.FAILED_PRECONDITION
        )

    def test_what_was_asked_while_the_daemon_was_gone_is_not_done_when_it_is_back(self) -> None:
        supervisor = self.supervisor()
        self.process.kill()
        self.wait_until(lambda: not supervisor.connected, "the loss")
        supervisor.patience_s = 0.2
        self.assertEqual(self.code_of(supervisor.stop), Code.UNAVAILABLE)
        supervisor.patience_s = 60
        self.start_daemon()
        self.wait_until(lambda: supervisor.connected, "the return")
        self.assertEqual(supervisor.words("hello", "comment").ok, True)
        self.assertNotEqual(supervisor.state().state, Authority.ESTOP)


class Alone(RobotCase):
    def test_without_a_daemon_it_says_where_it_looked(self) -> None:
        with self.assertRaises(NudgeError) as caught:
            self.supervisor(token="x" * 43, patience_s=0.2)
        self.assertEqual(caught.exception.code, Code.UNAVAILABLE)
        self.assertIn(str(self.teleop_port), caught.exception.message)

    def test_a_folder_without_tokens_is_said_to_be_one(self) -> None:
        with self.assertRaises(NudgeError) as caught:
            nudge.token(self.folder)
        self.assertEqual(caught.exception.code, Code.NOT_FOUND)

    def test_an_address_that_is_none_is_refused(self) -> None:
        with self.assertRaises(NudgeError):
            nudge.Daemon("localhost:8080")

    def test_a_daemon_that_is_not_there_is_unavailable(self) -> None:
        daemon = nudge.Daemon(f"http://127.0.0.1:{self.robot_port}", "x")
        with self.assertRaises(NudgeError) as caught:
            daemon.status()
        self.assertEqual(caught.exception.code, Code.UNAVAILABLE)

    def test_it_is_closed_at_once(self) -> None:
        begun = time.monotonic()
        with self.assertRaises(NudgeError):
            self.supervisor(token="x" * 43, patience_s=0.0)
        self.assertLess(time.monotonic() - begun, 30)


if __name__ == "__main__":
    support.main()
