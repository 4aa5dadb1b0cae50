// The table behind config.h. Private to src/config.
#pragma once

#include <cstddef>
#include <string_view>
#include <variant>
#include <vector>

#include "src/config/config.h"

namespace nudge::config {

// The way to a key's field; its type is the key's type.
using Accessor =
    std::variant<bool& (*)(Config&), std::int64_t& (*)(Config&), double& (*)(Config&),
                 std::string& (*)(Config&), std::vector<double>& (*)(Config&),
                 PolicyHead& (*)(Config&), LogLevel& (*)(Config&), LogFormat& (*)(Config&),
                 RobotDriver& (*)(Config&), TlsUse& (*)(Config&), PolicyReference& (*)(Config&),
                 Unwanted& (*)(Config&), DeviceUse& (*)(Config&), ShareOf& (*)(Config&),
                 WrongCorrections& (*)(Config&)>;

// Both ends included; of each element of a list. Not used by text, truth values and choices.
struct Range {
  double low = 0;
  double high = 0;
  std::size_t min_count = 0;  // elements of a list
  std::size_t max_count = 0;
};

struct Key {
  std::string_view name;
  Accessor field;
  std::string_view unit;
  Range range;
  std::string_view meaning;
  std::string_view origin_of_default;
};

struct Section {
  std::string_view name;
  std::string_view meaning;
};

const std::vector<Key>& keys();          // in the order in which they are printed
const std::vector<Section>& sections();  // the same order

// Names of an enumeration's values, by their number. The argument only selects.
const std::vector<std::string_view>& choices(PolicyHead*);
const std::vector<std::string_view>& choices(LogLevel*);
const std::vector<std::string_view>& choices(LogFormat*);
const std::vector<std::string_view>& choices(RobotDriver*);
const std::vector<std::string_view>& choices(TlsUse*);
const std::vector<std::string_view>& choices(PolicyReference*);
const std::vector<std::string_view>& choices(Unwanted*);
const std::vector<std::string_view>& choices(DeviceUse*);
const std::vector<std::string_view>& choices(ShareOf*);
const std::vector<std::string_view>& choices(WrongCorrections*);

}  // namespace nudge::config
