#include "src/ports/openpi_wire.h"

#include <gtest/gtest.h>

#include <bit>
#include <deque>
#include <limits>
#include <string>
#include <utility>

#include "test/support/golden.h"

namespace nudge {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    if (hex[i] == ' ') {
      --i;
      continue;
    }
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// {"observation/state": float32[0, 1], "prompt": "hi"} as openpi's client packs it.
const std::string kObservation = from_hex(
    "82 b1 6f62736572766174696f6e2f7374617465 84 c40b 5f5f6e6461727261795f5f c3 c404 64617461 c408 "
    "00000000 0000803f c405 6474797065 a3 3c6634 c405 7368617065 91 02 a6 70726f6d7074 a2 6869");

// {"x": np.array(int16 2x3)} with keys as text, big-endian.
const std::string kBigEndian = from_hex(
    "81 a1 78 84 ab 5f5f6e6461727261795f5f c3 a4 64617461 c40c 0001 ffff 0003 0004 0005 8000 a5 "
    "6474797065 a3 3e6932 a5 7368617065 92 02 03");

std::string text(std::string_view value) {
  return std::string(1, static_cast<char>(0xa0 + value.size())) + std::string(value);
}
std::string array_of(std::string_view dtype, const std::string& shape, const std::string& data) {
  std::string size(2, '\0');
  size[0] = static_cast<char>(data.size() >> 8);
  size[1] = static_cast<char>(data.size() & 255);
  return from_hex("84 c40b 5f5f6e6461727261795f5f c3 c404 64617461 c5") + size + data +
         from_hex("c405 6474797065") + text(dtype) + from_hex("c405 7368617065") + shape;
}

// Arrays are views of the bytes, which therefore stay.
Result<OpenpiMessage> parsed(std::string bytes) {
  static std::deque<std::string> all;
  return OpenpiMessage::parse(all.emplace_back(std::move(bytes)));
}

std::vector<double> numbers(const OpenpiMessage& message, std::string_view key) {
  const OpenpiValue* value = message.find(key);
  if (value == nullptr) return {};
  const auto read = openpi_numbers(*value);
  return read.ok() ? *read : std::vector<double>{};
}

TEST(OpenpiWire, ReadsWhatOpenpisClientPacks) {
  const auto message = parsed(kObservation);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(numbers(*message, "observation/state"), (std::vector<double>{0, 1}));
  EXPECT_EQ(message->text("prompt"), "hi");
  EXPECT_EQ(message->text("observation/state"), "");
}

TEST(OpenpiWire, ReadsScalarsOfNumpy) {
  const auto message = parsed(
      from_hex("82 a1 61 83 c40d 5f5f6e7067656e657269635f5f c3 c404 64617461 cb 3ff8000000000000 "
               "c405 6474797065 a3 3c6634 a1 62") +
      array_of("<i8", "\x90", from_hex("0300000000000000")));
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(numbers(*message, "a"), (std::vector<double>{1.5}));
  EXPECT_EQ(numbers(*message, "b"), (std::vector<double>{3}));
}

TEST(OpenpiWire, ReadsKeysThatAreTextAndNumbersOfEitherByteOrder) {
  const auto message = parsed(kBigEndian);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(numbers(*message, "x"), (std::vector<double>{1, -1, 3, 4, 5, -32768}));
}

TEST(OpenpiWire, ReadsEveryNumericDtype) {
  const struct {
    const char* dtype;
    const char* bytes;
    double value;
  } kCases[] = {
      {"|b1", "01", 1},         {"|u1", "ff", 255},
      {"|i1", "ff", -1},        {"<u2", "0080", 32768},
      {"<i4", "feffffff", -2},  {"<u4", "ffffffff", 4294967295.0},
      {"<f2", "00c0", -2},      {"<f2", "0100", 5.9604644775390625e-08},
      {"<f4", "0000c03f", 1.5}, {">f8", "bff8000000000000", -1.5},
      {"=f4", "0000803f", 1.0},
  };
  for (const auto& one : kCases) {
    const auto message = parsed("\x81\xa1x" + array_of(one.dtype, "\x90", from_hex(one.bytes)));
    ASSERT_TRUE(message.ok()) << one.dtype << ": " << message.status().message();
    EXPECT_EQ(numbers(*message, "x"), (std::vector<double>{one.value})) << one.dtype;
  }
}

TEST(OpenpiWire, ReadsListsOfNumbersAsArrays) {
  const auto message = parsed(from_hex("81 a1 78 93 01 02 cb 3fe0000000000000"));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(numbers(*message, "x"), (std::vector<double>{1, 2, 0.5}));
}

TEST(OpenpiWire, JoinsTheKeysOfNestedMaps) {
  const auto message = parsed(from_hex("81 a6 696d61676573 82 a3 746f70 01 a4 73696465 02"));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(numbers(*message, "images/top"), (std::vector<double>{1}));
  EXPECT_EQ(numbers(*message, "images/side"), (std::vector<double>{2}));
}

TEST(OpenpiWire, WhatIsNeitherNumberNorTextIsPassedOver) {
  const auto message = parsed("\x82\xa1x" + array_of("<U2", "\x91\x01", "abcdefgh") + "\xa1y\xc0");
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_FALSE(openpi_numbers(*message->find("x")).ok());
  EXPECT_FALSE(openpi_numbers(*message->find("y")).ok());
}

TEST(OpenpiWire, RefusesWhatIsNotOneWholeMap) {
  EXPECT_FALSE(parsed("").ok());
  EXPECT_FALSE(parsed("\x01").ok());
  EXPECT_FALSE(parsed("\x90").ok());
  EXPECT_FALSE(parsed("\x80\x80").ok());
  EXPECT_FALSE(parsed("\x81\x01\x01").ok()) << "a key must be text";
  for (std::size_t i = 0; i < kObservation.size(); ++i) {
    EXPECT_FALSE(parsed(kObservation.substr(0, i)).ok()) << i;
  }
}

TEST(OpenpiWire, RefusesAKeyThatIsThereTwice) {
  EXPECT_FALSE(parsed("\x82\xa1x\x01\xa1x\x02").ok());
  EXPECT_FALSE(parsed("\x82\xa3x/y\x01\xa1x\x81\xa1y\x02").ok());
}

// An array whose data is there twice, under keys that are text or bytes.
std::string array_with_two(const std::string& first, const std::string& second) {
  return from_hex("85 c40b 5f5f6e6461727261795f5f c3") + first + from_hex("c401 01") + second +
         from_hex("c401 02 c405 6474797065 a3 7c7531 c405 7368617065 91 01");
}

TEST(OpenpiWire, RefusesAnArrayWhoseDataIsThereTwice) {
  const std::string text = from_hex("a4 64617461"), bytes = from_hex("c404 64617461");
  for (const auto& [first, second] :
       {std::pair(bytes, bytes), std::pair(text, bytes), std::pair(bytes, text)}) {
    const auto message = parsed("\x81\xa1x" + array_with_two(first, second));
    ASSERT_FALSE(message.ok()) << "another reader may take the other one";
    EXPECT_NE(message.status().message().find("'data' is there twice"), std::string::npos)
        << message.status().message();
  }
  EXPECT_FALSE(parsed(from_hex("81 a1 78 91 82 a1 79 01 a1 79 02")).ok()) << "in a list, too";
}

TEST(OpenpiWire, RefusesArraysWhoseBytesDoNotFit) {
  const auto parse = [](const std::string& shape, const std::string& data) {
    return parsed("\x81\xa1x" + array_of("<f4", shape, data)).ok();
  };
  const std::string eight(8, 'x');
  EXPECT_TRUE(parse("\x91\x02", eight));
  EXPECT_FALSE(parse("\x91\x03", eight));
  EXPECT_FALSE(parse("\x91\xff", eight)) << "a negative length";
  EXPECT_FALSE(parse(from_hex("92 ce ffffffff ce ffffffff"), eight)) << "an overflow";
  EXPECT_FALSE(parse(from_hex("91 cb 3ff8000000000000"), eight)) << "half a row";
  EXPECT_FALSE(parse(from_hex("95 01 01 01 01 02"), eight)) << "five dimensions";
}

TEST(OpenpiWire, StopsAtItsBounds) {
  std::string deep;
  for (std::size_t i = 0; i < kMaxOpenpiDepth; ++i) deep += "\x81\xa1x";
  EXPECT_FALSE(parsed(deep + "\x80").ok());
  std::string many = from_hex("81 a1 78 dd 00001001");
  many.append(4097, '\x01');
  EXPECT_FALSE(parsed(many).ok());
  std::string longer = from_hex("81 a1 78 da 1001");
  longer.append(4097, 'a');
  EXPECT_FALSE(parsed(longer).ok());
  EXPECT_FALSE(parsed(from_hex("81 a1 78 d4 01 00")).ok()) << "an extension";
}

TEST(OpenpiWire, ReadsPicturesOfEitherLayout) {
  const std::string rows = "\x01\x02\x03\x04\x05\x06";
  const auto picture = [](const std::string& shape, const std::string& data) {
    const std::string bytes = "\x81\xa1x" + array_of("|u1", shape, data);
    const auto message = parsed(bytes);
    return openpi_image(*message->find("x"));
  };
  const auto hwc = picture("\x93\x01\x02\x03", rows);
  ASSERT_TRUE(hwc.ok());
  EXPECT_EQ(hwc->width, 2);
  EXPECT_EQ(hwc->height, 1);
  EXPECT_EQ(hwc->rgb, (std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}));
  const auto chw = picture("\x93\x03\x01\x02", rows);
  ASSERT_TRUE(chw.ok());
  EXPECT_EQ(chw->rgb, (std::vector<std::uint8_t>{1, 3, 5, 2, 4, 6}));
  EXPECT_TRUE(picture("\x94\x01\x01\x02\x03", rows).ok()) << "a batch of one";
  EXPECT_FALSE(picture("\x92\x02\x03", rows).ok());
  EXPECT_FALSE(picture("\x93\x01\x01\x06", rows).ok());
}

TEST(OpenpiWire, RepliesKeepTheirBytes) {
  const OpenpiChunk chunk = make_openpi_chunk(2, 2, {0, 0.5, -1, 2}, "<f4");
  const std::string bytes = encode_openpi_reply(
      chunk, {.source = "hold", .state = "HOLD", .as_is = false, .infer_ms = 1.5});
  EXPECT_EQ(bytes, test::golden("openpi_reply.bin", bytes));
  const auto reply = parsed(bytes);
  ASSERT_TRUE(reply.ok());
  const auto read = openpi_actions(*reply);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->bytes, chunk.bytes);
  EXPECT_EQ(read->numbers, chunk.numbers);
  EXPECT_EQ(reply->text("hil/source"), "hold");
}

TEST(OpenpiWire, AnUpstreamsReplyIsPassedOnByteForByte) {
  const std::string upstream =
      "\x81\xa7"
      "actions" +
      array_of("<f8", "\x92\x01\x01", from_hex("9a9999999999b93f"));
  const std::string passed =
      with_openpi_note(upstream, {.source = "upstream", .state = "AUTO", .as_is = true});
  EXPECT_EQ(passed.substr(1, upstream.size() - 1), upstream.substr(1));
  const auto reply = parsed(passed);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->text("hil/source"), "upstream");
  EXPECT_EQ(with_openpi_note(passed, {}), passed) << "what has a note keeps it";
}

TEST(OpenpiWire, ActionsAreReplacedAndNothingElse) {
  const std::string before =
      "\x82\xa5state\x07\xa7"
      "actions";
  const std::string reply = before + array_of("<f4", "\x92\x01\x02", from_hex("0000803f0000803f"));
  const auto changed = with_openpi_actions(reply, make_openpi_chunk(1, 2, {2, -1}, "<f4"));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(*changed, before + array_of("<f4", "\x92\x01\x02", from_hex("00000040000080bf")));
  EXPECT_FALSE(with_openpi_actions(reply, make_openpi_chunk(1, 2, {2, -1}, "<f8")).has_value());
  EXPECT_FALSE(with_openpi_actions(reply, make_openpi_chunk(1, 1, {2}, "<f4")).has_value());
  EXPECT_FALSE(with_openpi_actions("\x80", make_openpi_chunk(1, 1, {2}, "<f4")).has_value());
}

TEST(OpenpiWire, ChunksAreWrittenInEveryDtypeOfFloatingPointAndReadBack) {
  const std::vector<double> kNumbers = {0, -1.5, 0.000030517578125, 65504, 5.9604644775390625e-8};
  for (const char* dtype : {"<f8", ">f8", "<f4", ">f4", "<f2", ">f2"}) {
    const OpenpiChunk chunk = make_openpi_chunk(5, 1, kNumbers, dtype);
    EXPECT_EQ(chunk.dtype, dtype);
    const OpenpiValue array(OpenpiArray{.dtype = dtype, .shape = {5, 1}, .bytes = chunk.bytes});
    EXPECT_EQ(*openpi_numbers(array), kNumbers) << dtype;
  }
  EXPECT_EQ(make_openpi_chunk(1, 1, {0.5}, "<i4").dtype, "<f8") << "half a step is no integer";
}

TEST(OpenpiWire, TheNumbersOfAChunkAreThoseOfItsBytes) {
  const OpenpiChunk chunk = make_openpi_chunk(2, 1, {0.1, 100000}, "<f2");
  EXPECT_EQ(chunk.numbers[0], 0.0999755859375);
  EXPECT_EQ(chunk.numbers[1], std::numeric_limits<double>::infinity());
}

TEST(OpenpiWire, ANumberIsWrittenWithinItsLimit) {
  for (const char* dtype : {"<f8", "<f4", ">f4", "<f2", ">f2"}) {
    for (const double number : {0.1, -0.1, 0.3, -0.3, 1e-9, -1e-9, 65530.0, -65530.0, 1.0}) {
      for (const double towards : {0.0, -1e5, 1e5}) {
        const double within = openpi_number_within(number, towards, dtype);
        EXPECT_EQ(make_openpi_chunk(1, 1, {within}, dtype).numbers[0], within) << "it is one";
        if (towards < number) {
          EXPECT_LE(within, number) << dtype;
        } else {
          EXPECT_GE(within, number) << dtype;
        }
        if (number != 1e-9) continue;
        EXPECT_NEAR(within, number, 1e-7) << dtype;
      }
    }
  }
  EXPECT_EQ(openpi_number_within(0.1, 0, "<i4"), 0.1);
}

TEST(OpenpiWire, MetadataKeepsWhatTheUpstreamBeganWith) {
  std::string sixteen = from_hex("de 0010");
  for (char c = 'a'; c < 'a' + 16; ++c) sixteen += std::string("\xa1") + c + "\x07";
  OpenpiMetadata metadata{.robot = "libero",
                          .program = "nudge",
                          .horizon = 10,
                          .action_size = 7,
                          .hz = 20,
                          .action = {"x"},
                          .cameras = {"front"}};
  const auto own = parsed(encode_openpi_metadata(metadata));
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own->text("hil/robot"), "libero");
  metadata.upstream = sixteen;
  const auto both = parsed(encode_openpi_metadata(metadata));
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(numbers(*both, "p"), (std::vector<double>{7}));
  EXPECT_EQ(both->text("hil/robot"), "libero");
}

TEST(OpenpiWire, APromptIsReplacedAndNothingElse) {
  const auto changed = with_openpi_text(kObservation, "prompt", "put it down");
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->substr(0, kObservation.size() - 3),
            kObservation.substr(0, kObservation.size() - 3));
  EXPECT_EQ(parsed(*changed)->text("prompt"), "put it down");
  EXPECT_FALSE(with_openpi_text(kObservation, "task", "x").has_value());
}

TEST(OpenpiWire, ActionsNeedRowsAndColumns) {
  EXPECT_FALSE(openpi_actions(*parsed("\x80")).ok());
  EXPECT_FALSE(openpi_actions(*parsed("\x81\xa7"
                                      "actions\x01"))
                   .ok());
  EXPECT_FALSE(openpi_actions(*parsed("\x81\xa7"
                                      "actions" +
                                      array_of("|u1", "\x91\x02", "ab")))
                   .ok());
}

}  // namespace
}  // namespace nudge
