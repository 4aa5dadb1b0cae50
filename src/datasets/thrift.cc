#include "src/datasets/thrift.h"

namespace nudge {
namespace {

std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

}  // namespace

void ThriftWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

void ThriftWriter::header(std::int16_t id, ThriftType type) {
  const int delta = id - last_.back();
  if (delta > 0 && delta < 16) {
    out_.push_back(static_cast<char>((delta << 4) | static_cast<int>(type)));
  } else {
    out_.push_back(static_cast<char>(type));
    varint(zigzag(id));
  }
  last_.back() = id;
}

void ThriftWriter::begin_struct() { last_.push_back(0); }

void ThriftWriter::end_struct() {
  out_.push_back('\0');
  last_.pop_back();
}

void ThriftWriter::field_i32(std::int16_t id, std::int32_t value) {
  header(id, ThriftType::kI32);
  varint(zigzag(value));
}

void ThriftWriter::field_i64(std::int16_t id, std::int64_t value) {
  header(id, ThriftType::kI64);
  varint(zigzag(value));
}

void ThriftWriter::field_text(std::int16_t id, std::string_view value) {
  header(id, ThriftType::kBinary);
  element_text(value);
}

void ThriftWriter::field_struct(std::int16_t id) {
  header(id, ThriftType::kStruct);
  begin_struct();
}

void ThriftWriter::field_list(std::int16_t id, ThriftType element, std::size_t size) {
  header(id, ThriftType::kList);
  const int type = static_cast<int>(element);
  if (size < 15) {
    out_.push_back(static_cast<char>((size << 4) | static_cast<std::size_t>(type)));
  } else {
    out_.push_back(static_cast<char>(0xF0 | type));
    varint(size);
  }
}

void ThriftWriter::element_i32(std::int32_t value) { varint(zigzag(value)); }

void ThriftWriter::element_text(std::string_view value) {
  varint(value.size());
  out_.append(value);
}

bool ThriftReader::byte(std::uint8_t& value) {
  if (at_ >= bytes_.size()) return false;
  value = static_cast<std::uint8_t>(bytes_[at_++]);
  return true;
}

bool ThriftReader::varint(std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    std::uint8_t next = 0;
    if (!byte(next)) return false;
    value |= static_cast<std::uint64_t>(next & 0x7F) << shift;
    if ((next & 0x80) == 0) return true;
  }
  return false;
}

bool ThriftReader::read_struct(const std::function<bool(std::int16_t, ThriftType)>& visit) {
  if (++depth_ > kMaxDepth) return false;
  std::int16_t id = 0;
  while (true) {
    std::uint8_t head = 0;
    if (!byte(head)) return false;
    if (head == 0) break;
    const auto type = static_cast<ThriftType>(head & 0x0F);
    if ((head >> 4) != 0) {
      id = static_cast<std::int16_t>(id + (head >> 4));
    } else {
      std::uint64_t number = 0;
      if (!varint(number)) return false;
      id = static_cast<std::int16_t>(unzigzag(number));
    }
    if (!visit(id, type)) return false;
  }
  --depth_;
  return true;
}

bool ThriftReader::read_list(std::size_t most, const std::function<bool(ThriftType)>& element) {
  if (++depth_ > kMaxDepth) return false;
  std::uint8_t head = 0;
  if (!byte(head)) return false;
  std::uint64_t size = head >> 4;
  if (size == 15 && !varint(size)) return false;
  if (size > most) return false;
  const auto type = static_cast<ThriftType>(head & 0x0F);
  for (std::uint64_t i = 0; i < size; ++i) {
    if (!element(type)) return false;
  }
  --depth_;
  return true;
}

bool ThriftReader::read_i64(ThriftType type, std::int64_t& value) {
  if (type == ThriftType::kByte) {
    std::uint8_t small = 0;
    if (!byte(small)) return false;
    value = static_cast<std::int8_t>(small);
    return true;
  }
  if (type != ThriftType::kI16 && type != ThriftType::kI32 && type != ThriftType::kI64) {
    return false;
  }
  std::uint64_t raw = 0;
  if (!varint(raw)) return false;
  value = unzigzag(raw);
  return true;
}

bool ThriftReader::read_i32(ThriftType type, std::int32_t& value) {
  std::int64_t wide = 0;
  if (!read_i64(type, wide) || wide < INT32_MIN || wide > INT32_MAX) return false;
  value = static_cast<std::int32_t>(wide);
  return true;
}

bool ThriftReader::read_text(ThriftType type, std::string& value) {
  std::uint64_t size = 0;
  if (type != ThriftType::kBinary || !varint(size) || size > bytes_.size() - at_) return false;
  value.assign(reinterpret_cast<const char*>(bytes_.data() + at_), size);
  at_ += size;
  return true;
}

bool ThriftReader::skip(ThriftType type) {
  switch (type) {
    case ThriftType::kTrue:
    case ThriftType::kFalse: return true;
    case ThriftType::kByte: {
      std::uint8_t ignored = 0;
      return byte(ignored);
    }
    case ThriftType::kI16:
    case ThriftType::kI32:
    case ThriftType::kI64: {
      std::uint64_t ignored = 0;
      return varint(ignored);
    }
    case ThriftType::kDouble:
      if (bytes_.size() - at_ < 8) return false;
      at_ += 8;
      return true;
    case ThriftType::kBinary: {
      std::uint64_t size = 0;
      if (!varint(size) || size > bytes_.size() - at_) return false;
      at_ += size;
      return true;
    }
    case ThriftType::kList:
    case ThriftType::kSet:
      // An element of a list of booleans is a byte of its own.
      return read_list(bytes_.size() - at_, [this](ThriftType element) {
        const bool boolean = element == ThriftType::kTrue || element == ThriftType::kFalse;
        return skip(boolean ? ThriftType::kByte : element);
      });
    case ThriftType::kStruct:
      return read_struct([this](std::int16_t, ThriftType field) { return skip(field); });
    case ThriftType::kMap:
    case ThriftType::kStop: return false;  // Parquet has no maps
  }
  return false;
}

}  // namespace nudge
