// The client's part of CURVE with every byte in hand, for peers that do it wrong.
#pragma once

#include <sodium.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "src/ports/curve.h"

namespace nudge::test {

// What a ZeroMQ DEALER with CURVE says, and what it makes of the answers. Bodies of commands;
// frame() puts a header before one.
class CurvePeer {
 public:
  explicit CurvePeer(const CurveKey& server) : server_(server) {
    crypto_box_keypair(short_.data(), short_secret_.data());
  }

  static std::string greeting() {
    std::string text("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12);
    text += "CURVE";
    text.resize(64, '\0');
    return text;
  }
  static std::string frame(const std::string& body, bool command = true) {
    std::string text;
    if (body.size() < 256) {
      text += command ? '\4' : '\0';
      text += static_cast<char>(body.size());
    } else {
      text += command ? '\6' : '\2';
      for (int shift = 56; shift >= 0; shift -= 8) {
        text += static_cast<char>(std::uint64_t{body.size()} >> shift);
      }
    }
    return text + body;
  }

  std::string hello() {
    const std::string number = next();
    std::string box(80, '\0');
    const std::string zeros(64, '\0');
    must(crypto_box_easy(raw(box), bytes(zeros), zeros.size(),
                         nonce("CurveZMQHELLO---", number).data(), server_.data(),
                         short_secret_.data()) == 0);
    std::string body("\5HELLO\1\0", 8);
    body.append(72, '\0');
    return body + text(short_) + number + box;
  }
  // False: it is not from the server.
  bool take_welcome(const std::string& body) {
    if (body.size() != 168 || body.compare(0, 8, "\7WELCOME") != 0) return false;
    std::array<std::uint8_t, 128> plain;
    if (crypto_box_open_easy(plain.data(), bytes(body) + 24, 144,
                             nonce("WELCOME-", body.substr(8, 16)).data(), server_.data(),
                             short_secret_.data()) != 0) {
      return false;
    }
    std::memcpy(server_short_.data(), plain.data(), 32);
    cookie_.assign(reinterpret_cast<const char*>(plain.data()) + 32, 96);
    return crypto_box_beforenm(shared_.data(), server_short_.data(), short_secret_.data()) == 0;
  }
  // `vouching`: whose secret the vouch is made with, when it is another's than `own`.
  std::string initiate(const CurveIdentity& own, const CurveIdentity* vouching = nullptr,
                       const std::string& type = "DEALER") {
    const std::string number = next();
    const std::string fresh = random(16);
    std::string vouch(80, '\0');
    const std::string vouched = text(short_) + text(server_);
    const CurveIdentity& voucher = vouching == nullptr ? own : *vouching;
    must(crypto_box_easy(raw(vouch), bytes(vouched), vouched.size(),
                         nonce("VOUCH---", fresh).data(), server_short_.data(),
                         voucher.secret_key().data()) == 0);
    std::string plain = text(own.public_key()) + fresh + vouch;
    plain += std::string("\x0bSocket-Type\0\0\0", 15) + static_cast<char>(type.size()) + type;
    std::string box(plain.size() + 16, '\0');
    crypto_box_easy_afternm(raw(box), bytes(plain), plain.size(),
                            nonce("CurveZMQINITIATE", number).data(), shared_.data());
    return std::string("\x08INITIATE") + cookie_ + number + box;
  }
  std::string message(const std::string& payload, std::uint8_t flags = 0) {
    return sealed(payload, flags, next());
  }
  // The same nonce as the message before.
  std::string message_again(const std::string& payload) { return sealed(payload, 0, last_); }
  // What is in a MESSAGE of the server; empty: it is none.
  std::string open(const std::string& body) const {
    if (body.size() < 33 || body.compare(0, 8, "\7MESSAGE") != 0) return "";
    std::string plain(body.size() - 32, '\0');
    if (crypto_box_open_easy_afternm(raw(plain), bytes(body) + 16, body.size() - 16,
                                     nonce("CurveZMQMESSAGES", body.substr(8, 8)).data(),
                                     shared_.data()) != 0) {
      return "";
    }
    return plain.substr(1);
  }

 private:
  static void must(bool done) {
    if (!done) std::abort();
  }
  using Nonce = std::array<std::uint8_t, 24>;
  static std::uint8_t* raw(std::string& s) { return reinterpret_cast<std::uint8_t*>(s.data()); }
  static const std::uint8_t* bytes(const std::string& s) {
    return reinterpret_cast<const std::uint8_t*>(s.data());
  }
  static std::string text(const CurveKey& key) {
    return {reinterpret_cast<const char*>(key.data()), key.size()};
  }
  static std::string random(std::size_t size) {
    std::string bytes(size, '\0');
    randombytes_buf(bytes.data(), size);
    return bytes;
  }
  static Nonce nonce(const std::string& prefix, const std::string& rest) {
    Nonce nonce{};
    std::memcpy(nonce.data(), (prefix + rest).data(), nonce.size());
    return nonce;
  }
  std::string next() {
    ++number_;
    last_.clear();
    for (int shift = 56; shift >= 0; shift -= 8) last_ += static_cast<char>(number_ >> shift);
    return last_;
  }
  std::string sealed(const std::string& payload, std::uint8_t flags, const std::string& number) {
    const std::string plain = static_cast<char>(flags) + payload;
    std::string box(plain.size() + 16, '\0');
    crypto_box_easy_afternm(raw(box), bytes(plain), plain.size(),
                            nonce("CurveZMQMESSAGEC", number).data(), shared_.data());
    return std::string("\7MESSAGE") + number + box;
  }

  CurveKey server_, short_{}, short_secret_{}, server_short_{}, shared_{};
  std::string cookie_, last_;
  std::uint64_t number_ = 0;
};

}  // namespace nudge::test
