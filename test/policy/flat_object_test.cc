#include "policy/flat_object.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

void expect_refused(std::string_view text, const std::string& why) {
  const Status status = FlatObject::parse(text).status();
  EXPECT_EQ(status.code(), Code::kDataLoss) << text;
  EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
}

TEST(FlatObject, ReadsWhatItWrites) {
  FlatObject object;
  object.set("text", std::string("a \"quoted\" é\n"));
  object.set("largest", ~std::uint64_t{0});
  object.set("flag", true);
  const Result<std::string> text = object.dump();
  ASSERT_TRUE(text.ok());
  const Result<FlatObject> read = FlatObject::parse(*text);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, object);
  EXPECT_EQ(*read->get<std::uint64_t>("largest"), ~std::uint64_t{0});
}

TEST(FlatObject, WritesKeysInOrderWithoutSpace) {
  FlatObject object;
  object.set("b", std::uint64_t{1});
  object.set("a", false);
  EXPECT_EQ(*object.dump(), R"({"a":false,"b":1})");
}

TEST(FlatObject, RefusesAKeyThatAppearsTwice) {
  expect_refused(R"({"a":1,"a":1})", "twice");
  expect_refused(R"({"a":1,"\u0061":2})", "twice");
}

TEST(FlatObject, RefusesEverythingThatIsNotFlat) {
  expect_refused(R"({"a":{}})", "nested");
  expect_refused(R"({"a":[]})", "arrays");
  expect_refused(std::string(100'000, '['), "arrays");
}

TEST(FlatObject, RefusesOtherValues) {
  expect_refused(R"({"a":null})", "null");
  expect_refused(R"({"a":-1})", "negative");
  expect_refused(R"({"a":1.5})", "whole");
  expect_refused(R"({"a":18446744073709551616})", "whole");
}

TEST(FlatObject, RefusesWhatIsNoObject) {
  expect_refused("", "not valid");
  expect_refused("1", "not a JSON object");
  expect_refused("\"a\"", "not a JSON object");
  expect_refused("{}x", "not valid");
  expect_refused("{\"a\":\"\xff\"}", "not valid");
}

TEST(FlatObject, RefusesBytesBehindAZero) {
  expect_refused(std::string_view("{}\0{", 4), "zero byte");
}

TEST(FlatObject, RefusesMoreThanItsBound) {
  expect_refused(std::string(FlatObject::kMaxBytes + 1, ' '), "at most");
}

TEST(FlatObject, NamesTheKeyThatIsMissingOrOfAnotherType) {
  const Result<FlatObject> object = FlatObject::parse(R"({"a":1})");
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(object->get<bool>("b").status().message(), "\"b\" is missing");
  EXPECT_EQ(object->get<std::string>("a").status().message(), "\"a\" has the wrong type");
}

TEST(FlatObject, DoesNotWriteTextThatIsNotUtf8) {
  FlatObject object;
  object.set("a", std::string("\xff"));
  EXPECT_EQ(object.dump().status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
