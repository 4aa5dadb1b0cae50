#!/usr/bin/env python3
"""What scripts/check_layers.py allows and refuses."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True
import check_layers  # noqa: E402


def wrong(path, line):
    return check_layers.check_text(path, line + "\n")


class Layers(unittest.TestCase):
    def test_public_headers_know_only_the_standard_library_and_each_other(self):
        self.assertFalse(wrong("include/nudge/a.h", "#include <vector>"))
        self.assertFalse(wrong("include/nudge/a.h", '#include "nudge/b.h"'))
        for line in ('#include "policy/head.h"', "#include <unistd.h>", "#include <torch/torch.h>",
                     "#include <nlohmann/json.hpp>", "#include <boost/asio.hpp>"):
            self.assertTrue(wrong("include/nudge/a.h", line), line)

    def test_modules_know_themselves_and_never_each_other(self):
        self.assertFalse(wrong("replay/log.cc", '#include "replay/segment.h"'))
        self.assertFalse(wrong("replay/log.cc", '#include "nudge/event.h"'))
        for line in ('#include "policy/head.h"', '#include "src/config/config.h"',
                     '#include "feedback/broker.h"'):
            self.assertTrue(wrong("replay/log.cc", line), line)

    def test_the_program_knows_every_module_but_no_test(self):
        self.assertFalse(wrong("src/main.cc", '#include "feedback/broker.h"'))
        self.assertTrue(wrong("src/main.cc", '#include "test/support/x.h"'))

    def test_foreign_libraries_stay_in_their_places(self):
        allowed = (("policy/torch_head.cc", "torch/torch.h"), ("replay/log.cc", "sqlite3.h"),
                   ("src/sim/kitchen.cc", "mujoco/mujoco.h"), ("src/cli/logging.cc", "spdlog/a.h"),
                   ("src/config/config.cc", "toml++/toml.h"), ("src/x/port.h", "zmq.hpp"))
        for path, header in allowed:
            self.assertFalse(wrong(path, f"#include <{header}>"), path)
        refused = (("policy/head.h", "torch/torch.h"), ("policy/torch_head.h", "torch/torch.h"),
                   ("src/main.cc", "torch/torch.h"), ("replay/log.h", "sqlite3.h"),
                   ("replay/log.h", "nlohmann/json.hpp"), ("feedback/broker.cc", "zmq.hpp"),
                   ("policy/gate.cc", "boost/a.hpp"), ("src/main.cc", "spdlog/spdlog.h"),
                   ("src/config/config.h", "toml++/toml.h"), ("policy/a.cc", "gtest/gtest.h"))
        for path, header in refused:
            self.assertTrue(wrong(path, f"#include <{header}>"), f"{path} {header}")

    def test_clients_bring_nothing_heavy_along(self):
        for path in ("src/client/robot_client.cc", "src/ports/frame.cc", "src/ports/robot_wire.cc"):
            self.assertFalse(wrong(path, "#include <nlohmann/json.hpp>"), path)
            self.assertTrue(wrong(path, "#include <boost/asio.hpp>"), path)
            self.assertTrue(wrong(path, "#include <sodium.h>"), path)
        self.assertFalse(wrong("src/client/a.cc", '#include "src/ports/teleop_wire.h"'))
        self.assertFalse(wrong("src/client/a.cc", '#include "feedback/message.h"'))
        self.assertTrue(wrong("src/client/a.cc", '#include "src/ports/robot_port.h"'))
        self.assertTrue(wrong("src/client/a.cc", '#include "src/loop/controller.h"'))

    def test_modules_own_no_thread_mutex_socket_or_clock(self):
        for line in ("#include <thread>", "#include <mutex>", "#include <sys/socket.h>",
                     "auto t = std::chrono::steady_clock::now();", "std::random_device device;"):
            self.assertTrue(wrong("feedback/broker.cc", line), line)
            self.assertFalse(wrong("src/loop/loop.cc", line), line)
        self.assertFalse(wrong("feedback/broker.cc", "// steady_clock::now() is for src/"))
        self.assertFalse(wrong("policy/swap_slot.h", "#include <atomic>"))

    def test_names_are_written_from_the_root(self):
        self.assertTrue(wrong("policy/a.cc", '#include "head.h"'))
        self.assertTrue(wrong("policy/a.cc", '#include "policy/../replay/log.h"'))

    def test_a_message_names_file_line_and_header(self):
        messages = check_layers.check_text("policy/a.cc", '\n  #  include "replay/log.h"\n')
        self.assertEqual(len(messages), 1)
        self.assertTrue(messages[0].startswith("policy/a.cc:2: #include replay/log.h: "))

    def test_the_program_fails_on_a_wrong_tree_and_on_an_empty_one(self):
        script = ROOT / "scripts" / "check_layers.py"
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            run = lambda: subprocess.run([sys.executable, script, root], capture_output=True)
            self.assertEqual(run().returncode, 66)
            (root / "policy").mkdir()
            (root / "policy" / "a.cc").write_text("#include <vector>\n")
            self.assertEqual(run().returncode, 0)
            (root / "policy" / "a.cc").write_text("#include <zmq.h>\n")
            self.assertEqual(run().returncode, 1)


if __name__ == "__main__":
    unittest.main()
