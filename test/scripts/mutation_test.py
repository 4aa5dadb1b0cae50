#!/usr/bin/env python3
"""What scripts/mutation.py derives from a source, and what it makes of it."""

import importlib.util
import pathlib
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SPEC = importlib.util.spec_from_file_location("mutation", ROOT / "scripts" / "mutation.py")
mutation = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutation)


def source(text):
    return mutation.Source("x.cc", text)


def mutations(text):
    return [m for c in source(text).conditions for m in c.mutations]


def names(text):
    return [m.name.removeprefix("x.cc ") for m in mutations(text)]


class Derived(unittest.TestCase):
    def test_a_guard_is_taken_away_as_a_whole(self):
        self.assertEqual(names("void stop() {\n  if (pressed) return;\n}\n"),
                         ["stop: false: pressed"])

    def test_each_operand_is_left_out_by_what_changes_nothing(self):
        found = mutations("void f() {\n  if (a || !(b && c)) return;\n}\n")
        self.assertEqual([m.text for m in found],
                         ["false", "false || !(b && c)", "a || false", "a || !(true && c)",
                          "a || !(b && true)"])

    def test_a_boundary_moves_by_one(self):
        found = mutations("bool f() {\n  return x <= 3 ? g<int>(y) : y > z;\n}\n")
        self.assertEqual([m.text for m in found],
                         ["x < 3 ? g<int>(y) : y > z", "x <= 3 ? g<int>(y) : y >= z"])

    def test_what_is_declared_in_a_condition_is_none(self):
        text = "void f() {\n  if (const Actor* other = find(a)) return;\n}\n"
        self.assertEqual(names(text), ["f: false: find(a)"])
        made = source(text)
        made.conditions[0].mutations[0].number = 4
        self.assertIn("other = ::nudge_mutation::none_if(4, find(a)))", made.switched())

    def test_stored_and_assigned_conditions_count_and_other_values_do_not(self):
        text = "void f() {\n  const bool own = a && b;\n  late_ = now > then;\n  n = a + b;\n}\n"
        self.assertEqual(names(text),
                         ["f: false: a && b", "f: operand: a -> true in a && b",
                          "f: operand: b -> true in a && b", "f: false: now > then",
                          "f: boundary: now >= then"])

    def test_comments_and_texts_are_not_read(self):
        self.assertEqual(names('// if (a < b)\nvoid f() {\n  say("if (a || b)");\n}\n'), [])

    def test_the_same_condition_twice_is_told_apart(self):
        text = "void f() {\n  if (a) return;\n  if (a) return;\n}\n"
        self.assertEqual(names(text), ["f: false: a", "f: false: a #2"])


class Switched(unittest.TestCase):
    def test_without_numbers_the_text_is_what_it_was(self):
        text = (ROOT / "feedback/authority.cc").read_text("utf-8")
        self.assertEqual(mutation.Source("feedback/authority.cc", text).switched(), text)

    def test_a_condition_inside_another_keeps_its_own_switch(self):
        made = source("bool f() {\n  return all(v, [](int i) {\n    return i < 3;\n  }) && ok;\n}\n")
        every = [m for c in made.conditions for m in c.mutations]
        for number, found in enumerate(every, 1):
            found.number = number
        text = made.switched()
        for found in every:
            self.assertEqual(text.count(f"on == {found.number} "), 1, found.name)


class Equivalent(unittest.TestCase):
    def test_each_has_a_reason(self):
        self.assertEqual(mutation.read_equivalent("# why\n\na: b\n  it is\n  so\n"),
                         {"a: b": "it is so"})
        for wrong in ("a: b\n", "  no name\n", "a\n  x\na\n  y\n"):
            with self.assertRaises(ValueError):
                mutation.read_equivalent(wrong)

    def test_the_committed_list_can_be_read(self):
        mutation.read_equivalent((ROOT / mutation.EQUIVALENT).read_text("utf-8"))


if __name__ == "__main__":
    unittest.main()
