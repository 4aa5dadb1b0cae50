#include "src/config/config.h"

// What toml++ 3.3 asserts of the text does not hold for every malformed one ("[[[\n="): with NDEBUG
// it lets the compiler rely on it. It reports the error all the same when it does neither.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <type_traits>

#include "nudge/utf8.h"
#include "src/config/keys.h"

namespace nudge {
namespace {

using config::Key;
using config::Range;

constexpr std::uintmax_t kMaxFileBytes = 1 << 20;

// An enumeration whose names keys.h knows.
template <typename T>
inline constexpr bool kIsChoice = requires(T* value) {
  config::choices(value);
};

// Calls `visitor` with a reference to the key's field.
template <typename Visitor>
decltype(auto) visit_field(const Key& key, Config& config, Visitor&& visitor) {
  return std::visit([&](auto accessor) -> decltype(auto) { return visitor(accessor(config)); },
                    key.field);
}

std::string_view section_of(std::string_view name) { return name.substr(0, name.find('.')); }
std::string_view field_of(std::string_view name) { return name.substr(name.find('.') + 1); }

const Key* find_key(std::string_view name) {
  for (const Key& key : config::keys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

// ---- text of values ---------------------------------------------------------------------------

std::string number_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

// TOML tells integers from floats by how they are written.
std::string toml_number(double value) {
  std::string text = number_text(value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      constexpr char hex[] = "0123456789ABCDEF";
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_value(const Key& key, const Config& config) {
  // The accessors give references to change; this one is only read.
  return visit_field(key, const_cast<Config&>(config), [](auto& field) -> std::string {
    using T = std::decay_t<decltype(field)>;
    if constexpr (std::is_same_v<T, bool>) {
      return field ? "true" : "false";
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      return std::to_string(field);
    } else if constexpr (std::is_same_v<T, double>) {
      return toml_number(field);
    } else if constexpr (std::is_same_v<T, std::string>) {
      return toml_text(field);
    } else if constexpr (kIsChoice<T>) {
      return toml_text(config::choices(&field)[static_cast<std::size_t>(field)]);
    } else {
      std::string out = "[";
      for (const double value : field) {
        if (out.size() > 1) out += ", ";
        out += toml_number(value);
      }
      return out + "]";
    }
  });
}

// Large bounds of seeds read badly as 9.2e18.
std::string bound_text(double value) {
  if (value == 9.2e18) return "9.2e18";
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return std::to_string(static_cast<std::int64_t>(value));
  }
  return number_text(value);
}

std::string type_text(const Key& key) {
  static Config scratch;
  return visit_field(key, scratch, [](auto& field) -> std::string {
    using T = std::decay_t<decltype(field)>;
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    if constexpr (std::is_same_v<T, std::int64_t>) return "integer";
    if constexpr (std::is_same_v<T, double>) return "number";
    if constexpr (std::is_same_v<T, std::string>) return "text";
    if constexpr (kIsChoice<T>) return "one of";
    return "list";
  });
}

std::string allowed_text(const Key& key) {
  static Config scratch;
  return visit_field(key, scratch, [&](auto& field) -> std::string {
    using T = std::decay_t<decltype(field)>;
    std::string bounds = bound_text(key.range.low) + " to " + bound_text(key.range.high);
    if constexpr (std::is_same_v<T, bool>) {
      return "true, false";
    } else if constexpr (std::is_same_v<T, std::string>) {
      return "1 to 4000 bytes of UTF-8";
    } else if constexpr (kIsChoice<T>) {
      std::string out;
      for (const auto name : config::choices(&field)) {
        if (!out.empty()) out += ", ";
        out += name;
      }
      return out;
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
      return std::to_string(key.range.min_count) + " to " + std::to_string(key.range.max_count) +
             " numbers, each " + bounds;
    } else {
      return bounds;
    }
  });
}

// ---- setting a field --------------------------------------------------------------------------

// A value as a source gives it. Text of the environment and of flags becomes the same.
using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<double>>;

std::string value_text(const Value& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool>) {
          return v ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          return toml_text(v.size() > 80 ? v.substr(0, 80) : v);
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          std::string out = "[";
          for (std::size_t i = 0; i < v.size() && i < 8; ++i) {
            out += (i ? ", " : "") + number_text(v[i]);
          }
          return out + (v.size() > 8 ? ", ...]" : "]");
        } else if constexpr (std::is_same_v<T, double>) {
          return number_text(v);
        } else {
          return std::to_string(v);
        }
      },
      value);
}

// Empty when the value is allowed; else what is wrong with it.
std::string range_problem(const Key& key, const Value& value) {
  const Range& range = key.range;
  const auto inside = [&](double v) {
    return std::isfinite(v) && v >= range.low && v <= range.high;
  };
  bool good = true;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    good = inside(static_cast<double>(*integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    good = inside(*number);
  } else if (const auto* list = std::get_if<std::vector<double>>(&value)) {
    good = list->size() >= range.min_count && list->size() <= range.max_count &&
           std::all_of(list->begin(), list->end(), inside);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    good = !text->empty() && text->size() <= 4000 && text->find('\0') == std::string::npos &&
           is_utf8(*text);
  }
  return good ? "" : "allowed: " + allowed_text(key);
}

// Sets the field, or says what is wrong with the value.
std::string assign(const Key& key, const Value& value, Config& config) {
  return visit_field(key, config, [&](auto& field) -> std::string {
    using T = std::decay_t<decltype(field)>;
    if constexpr (kIsChoice<T>) {
      const auto* text = std::get_if<std::string>(&value);
      const auto& names = config::choices(&field);
      const auto found = text ? std::find(names.begin(), names.end(), *text) : names.end();
      if (found == names.end()) return "allowed: " + allowed_text(key);
      field = static_cast<T>(found - names.begin());
      return "";
    } else {
      Value converted = value;
      if constexpr (std::is_same_v<T, double>) {
        if (const auto* integer = std::get_if<std::int64_t>(&value)) {
          converted = static_cast<double>(*integer);
        }
      }
      if (!std::holds_alternative<T>(converted)) {
        return "it must be of type " + type_text(key) + ", allowed: " + allowed_text(key);
      }
      if (std::string problem = range_problem(key, converted); !problem.empty()) return problem;
      field = std::get<T>(std::move(converted));
      return "";
    }
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) {
    text.remove_suffix(1);
  }
  return text;
}

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// Reads text as the key's type asks; what cannot be read stays text, and assign() refuses it.
Value parse_text(const Key& key, std::string_view text) {
  static Config scratch;
  return visit_field(key, scratch, [&](auto& field) -> Value {
    using T = std::decay_t<decltype(field)>;
    const std::string_view bare = trim(text);
    if constexpr (std::is_same_v<T, bool>) {
      if (bare == "true" || bare == "1") return true;
      if (bare == "false" || bare == "0") return false;
    } else if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>) {
      if (const auto value = parse_number<T>(bare)) return *value;
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
      std::string_view rest = bare;
      if (rest.size() >= 2 && rest.front() == '[' && rest.back() == ']') {
        rest = trim(rest.substr(1, rest.size() - 2));
      }
      std::vector<double> list;
      while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const auto value = parse_number<double>(trim(rest.substr(0, comma)));
        if (!value) return std::string(text);
        list.push_back(*value);
        rest = trim(rest.substr(std::min(comma + 1, rest.size())));
      }
      return list;
    } else {
      return std::string(bare);
    }
    return std::string(text);
  });
}

// ---- names that do not exist ------------------------------------------------------------------

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// The nearest known key to the whole name, or, when its section is wrong, to its last part.
std::string unknown_key_text(std::string_view name) {
  const std::string_view shown = name.substr(0, 80);
  std::string_view best;
  std::size_t distance = std::string_view::npos;
  for (const Key& key : config::keys()) {
    std::size_t d = edit_distance(shown, key.name);
    if (field_of(key.name) == field_of(shown)) d = std::min<std::size_t>(d, 1);
    if (d < distance) {
      distance = d;
      best = key.name;
    }
  }
  std::string text = "unknown key \"" + std::string(shown) + "\"";
  if (distance <= std::max<std::size_t>(2, shown.size() / 3)) {
    text += "; did you mean \"" + std::string(best) + "\"?";
  } else {
    text += "; `nudge config print` lists the known ones";
  }
  return text;
}

// ---- the sources ------------------------------------------------------------------------------

// What was wrong, a line each.
class Problems {
 public:
  void add(const std::string& where, const std::string& what) {
    if (++count_ > 20) return;  // a file that is no configuration at all is not listed whole
    text_ += (text_.empty() ? "" : "\n") + where + ": " + what;
  }
  bool none() const { return count_ == 0; }
  std::string text() const {
    return count_ > 20 ? text_ + "\nand " + std::to_string(count_ - 20) + " more" : text_;
  }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

void set_key(const Key& key, const Value& value, const ConfigSource& source, LoadedConfig& loaded,
             Problems& problems) {
  const std::string problem = assign(key, value, loaded.config);
  if (problem.empty()) {
    loaded.sources[std::string(key.name)] = source;
  } else {
    problems.add(source.where,
                 std::string(key.name) + " = " + value_text(value) + " is not allowed; " + problem);
  }
}

// A TOML value as ours; none for tables, dates and mixed arrays.
std::optional<Value> from_toml(const toml::node& node) {
  if (const auto* v = node.as_boolean()) return Value(v->get());
  if (const auto* v = node.as_integer()) return Value(static_cast<std::int64_t>(v->get()));
  if (const auto* v = node.as_floating_point()) return Value(v->get());
  if (const auto* v = node.as_string()) return Value(v->get());
  if (const auto* array = node.as_array()) {
    std::vector<double> list;
    for (const toml::node& element : *array) {
      const std::optional<double> number =
          element.is_number() ? element.value<double>() : std::nullopt;
      if (!number) return std::nullopt;
      list.push_back(*number);
    }
    return Value(std::move(list));
  }
  return std::nullopt;
}

std::string place(const std::string& file, const toml::node& node) {
  return file + ":" + std::to_string(node.source().begin.line);
}

void apply_table(const toml::table& root, const std::string& file, LoadedConfig& loaded,
                 Problems& problems) {
  for (const auto& [section_name, section_node] : root) {
    const std::string section(section_name.str());
    const toml::table* table = section_node.as_table();
    if (table == nullptr) {
      problems.add(place(file, section_node),
                   unknown_key_text(section) + "; every key stands in a [section]");
      continue;
    }
    for (const auto& [field_name, node] : *table) {
      const std::string name = section + "." + std::string(field_name.str());
      const Key* key = find_key(name);
      if (key == nullptr) {
        problems.add(place(file, node), unknown_key_text(name));
        continue;
      }
      if (const auto value = from_toml(node)) {
        set_key(*key, *value, {ConfigOrigin::kFile, place(file, node)}, loaded, problems);
      } else {
        problems.add(place(file, node), name + " must be of type " + type_text(*key) +
                                            ", allowed: " + allowed_text(*key));
      }
    }
  }
}

Status apply_file(const std::string& file, LoadedConfig& loaded, Problems& problems) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return not_found("configuration " + file + ": it is a folder; name a file in it");
  }
  if (!std::filesystem::is_regular_file(file, error)) {
    return not_found("configuration " + file +
                     ": there is no such file; name one with --config, or leave it out to run on "
                     "the defaults");
  }
  std::ifstream in(file, std::ios::binary);
  std::string text;
  text.resize(kMaxFileBytes + 1);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad()) {
    return not_found("configuration " + file + ": cannot be read (" + std::strerror(errno) + ")");
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes) {
    return invalid_argument("configuration " + file +
                            ": larger than 1 MiB; is this the right file?");
  }
  try {
    apply_table(toml::parse(std::string_view(text), std::string_view(file)), file, loaded,
                problems);
  } catch (const toml::parse_error& e) {
    problems.add(file + ":" + std::to_string(e.source().begin.line),
                 "not TOML: " + std::string(e.description()));
  }
  return {};
}

std::string environment_name(std::string_view key) {
  std::string name = "NUDGE_";
  for (const char c : key) {
    if (c == '.') {
      name += "__";
    } else {
      name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
  }
  return name;
}

void apply_environment(const std::vector<std::pair<std::string, std::string>>& environment,
                       LoadedConfig& loaded, Problems& problems) {
  for (const auto& variable : environment) {
    const std::string& name = variable.first;
    if (name.rfind("NUDGE_", 0) != 0 || name.find("__") == std::string::npos) continue;
    const auto& keys = config::keys();
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const Key& k) { return environment_name(k.name) == name; });
    if (key != keys.end()) {
      set_key(*key, parse_text(*key, variable.second),
              {ConfigOrigin::kEnvironment, "environment " + name}, loaded, problems);
      continue;
    }
    std::string guess = name.substr(6);
    std::transform(guess.begin(), guess.end(), guess.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    guess.replace(guess.find("__"), 2, ".");
    problems.add("environment " + name, unknown_key_text(guess));
  }
}

void apply_sets(const std::vector<std::string>& sets, LoadedConfig& loaded, Problems& problems) {
  for (const std::string& set : sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos) {
      problems.add("--set " + set.substr(0, 80), "write it as section.key=value");
      continue;
    }
    const std::string name(trim(std::string_view(set).substr(0, equals)));
    const Key* key = find_key(name);
    if (key == nullptr) {
      problems.add("--set", unknown_key_text(name));
      continue;
    }
    set_key(*key, parse_text(*key, std::string_view(set).substr(equals + 1)),
            {ConfigOrigin::kFlag, "--set"}, loaded, problems);
  }
}

// ---- rules across keys ------------------------------------------------------------------------

// Calls report(key, what is wrong) for every broken rule. The key is the one to change first.
template <typename Report>
void check_rules(const Config& c, Report&& report) {
  const auto text = [](auto value) { return bound_text(static_cast<double>(value)); };
  if (c.authority.lease_ms < c.authority.fresh_ms) {
    report("authority.lease_ms",
           "lease_ms = " + text(c.authority.lease_ms) + " is less than authority.fresh_ms = " +
               text(c.authority.fresh_ms) + ": a person would lose the lease before going stale");
  }
  if (c.authority.reacquire_s * 1000 < static_cast<double>(c.authority.lease_ms)) {
    report("authority.reacquire_s",
           "reacquire_s = " + number_text(c.authority.reacquire_s) +
               " s is less than authority.lease_ms = " + text(c.authority.lease_ms));
  }
  if (c.authority.camera_same_ms != 0 && c.authority.camera_same_ms < c.authority.camera_fresh_ms) {
    report("authority.camera_same_ms", "camera_same_ms = " + text(c.authority.camera_same_ms) +
                                           " must be 0, or at least authority.camera_fresh_ms = " +
                                           text(c.authority.camera_fresh_ms));
  }
  if (c.limits.workspace_lower.size() != c.limits.workspace_upper.size() ||
      (!c.limits.workspace_lower.empty() && c.limits.workspace_lower.size() != 3)) {
    report("limits.workspace_lower",
           "workspace_lower and workspace_upper need three numbers each, or none each");
  } else {
    for (std::size_t i = 0; i < c.limits.workspace_lower.size(); ++i) {
      if (!(c.limits.workspace_lower[i] < c.limits.workspace_upper[i])) {
        report("limits.workspace_lower",
               std::string("workspace_lower must be below workspace_upper in ") + "xyz"[i]);
      }
    }
  }
  if (c.limits.clamps_to_hold >= c.limits.clamp_window_ticks) {
    report("limits.clamps_to_hold",
           "clamps_to_hold = " + text(c.limits.clamps_to_hold) +
               " must be below clamp_window_ticks = " + text(c.limits.clamp_window_ticks));
  }
  if (c.words.view != "facing" && c.words.view != "behind") {
    report("words.view", "view = \"" + c.words.view + "\" is neither facing nor behind");
  }
  if (c.words.most_m < c.words.bit_m) {
    report("words.most_m", "most_m = " + number_text(c.words.most_m) +
                               " is less than words.bit_m = " + number_text(c.words.bit_m));
  }
  if (c.policy.replan_after > c.policy.horizon) {
    report("policy.replan_after", "replan_after = " + text(c.policy.replan_after) +
                                      " is more than policy.horizon = " + text(c.policy.horizon));
  }
  const double sum =
      c.learner.share_corrections + c.learner.share_demonstrations + c.learner.share_autonomous;
  if (std::abs(sum - 1.0) > 1e-6) {
    report("learner.share_corrections",
           "share_corrections + share_demonstrations + share_autonomous = " + number_text(sum) +
               ", and must be 1");
  }
  if ((c.ports.certificate == "own") != (c.ports.key == "own")) {
    report("ports.certificate",
           "certificate and key belong together: name both files, or leave both at \"own\"");
  }
  if (c.robot.spec != "hello" && c.robot.driver != RobotDriver::kRemote) {
    report("robot.spec", "spec = \"" + c.robot.spec +
                             "\" is for a robot that connects; set robot.driver = \"remote\", or "
                             "leave spec at \"hello\"");
  }
  if (c.robot.driver == RobotDriver::kOpenpi && c.openpi.upstream != "none" &&
      !c.openpi.upstream.starts_with("ws://") && !c.openpi.upstream.starts_with("wss://")) {
    report("openpi.upstream",
           "upstream = " + c.openpi.upstream +
               " is no address of an openpi server; write ws://HOST:PORT or wss://HOST:PORT");
  }
  if (c.policy.reference == PolicyReference::kUpstream &&
      (c.robot.driver != RobotDriver::kOpenpi || c.openpi.upstream == "none")) {
    report(
        "policy.reference",
        "reference = upstream edits the chunks of openpi.upstream: name one, and set robot.driver "
        "to openpi");
  }
  if (c.log.heads_file != "none" && !c.log.heads_file.starts_with('/')) {
    report("log.heads_file", "heads_file = \"" + c.log.heads_file +
                                 "\" must be a whole path, beginning with a slash, or none");
  }
  if (c.help.samples == 1) {
    report("help.samples", "samples = 1 has nothing to disagree with; take 2 or more, or 0");
  }
  if (static_cast<double>(c.help.episodes + 1) * c.help.false_alarms < 1) {
    report("help.episodes", "episodes = " + text(c.help.episodes) +
                                " are too few to tell false_alarms = " +
                                number_text(c.help.false_alarms) + ": take 1 / false_alarms");
  }
  if (c.learner.restart_max_s < c.learner.restart_first_s) {
    report("learner.restart_max_s",
           "restart_max_s = " + number_text(c.learner.restart_max_s) +
               " is less than restart_first_s = " + number_text(c.learner.restart_first_s));
  }
}

// Breaks a sentence into comment lines of at most 100 columns.
std::string comment(std::string_view sentence) {
  std::string out;
  std::size_t column = 0;
  while (!sentence.empty()) {
    const std::size_t space = std::min(sentence.find(' '), sentence.size());
    if (column == 0 || column + 1 + space > 98) {
      out += out.empty() ? "#" : "\n#";
      column = 1;
    }
    out += ' ';
    out += sentence.substr(0, space);
    column += 1 + space;
    sentence.remove_prefix(std::min(space + 1, sentence.size()));
  }
  return out + "\n";
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> rows = [] {
    std::vector<ConfigKey> made;
    const Config defaults;
    for (const Key& key : config::keys()) {
      made.push_back({std::string(key.name), type_text(key), std::string(key.unit),
                      toml_value(key, defaults), allowed_text(key), std::string(key.meaning),
                      std::string(key.origin_of_default)});
    }
    return made;
  }();
  return rows;
}

Result<LoadedConfig> load_config(const ConfigInputs& inputs) {
  LoadedConfig loaded;
  for (const Key& key : config::keys()) loaded.sources[std::string(key.name)] = {};
  Problems problems;
  if (!inputs.file.empty()) NUDGE_TRY(apply_file(inputs.file, loaded, problems));
  apply_environment(inputs.environment, loaded, problems);
  apply_sets(inputs.sets, loaded, problems);
  // Rules across keys would only repeat what is already known to be wrong.
  if (problems.none()) {
    check_rules(loaded.config, [&](std::string_view key, const std::string& what) {
      problems.add(loaded.sources.at(std::string(key)).where,
                   std::string(section_of(key)) + ": " + what);
    });
  }
  if (!problems.none()) return invalid_argument(problems.text());
  return loaded;
}

std::vector<std::pair<std::string, std::string>> nudge_environment() {
  std::vector<std::pair<std::string, std::string>> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (text.rfind("NUDGE_", 0) != 0 || equals == std::string_view::npos) continue;
    found.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

Status check_config(const Config& config) {
  Problems problems;
  Config copy = config;
  for (const Key& key : config::keys()) {
    visit_field(key, copy, [&](auto& field) {
      using T = std::decay_t<decltype(field)>;
      if constexpr (!kIsChoice<T>) {
        const Value value(field);
        if (const std::string problem = range_problem(key, value); !problem.empty()) {
          problems.add(std::string(key.name), value_text(value) + " is not allowed; " + problem);
        }
      }
    });
  }
  if (problems.none()) {
    check_rules(config, [&](std::string_view key, const std::string& what) {
      problems.add(std::string(section_of(key)), what);
    });
  }
  return problems.none() ? Status() : invalid_argument(problems.text());
}

Result<std::string> config_value(const Config& config, const std::string& name) {
  const Key* key = find_key(name);
  if (key == nullptr) return not_found(unknown_key_text(name));
  return toml_value(*key, config);
}

std::string print_config(const LoadedConfig& loaded) {
  std::string out;
  for (const config::Section& section : config::sections()) {
    out += (out.empty() ? "[" : "\n[") + std::string(section.name) + "]\n";
    for (const Key& key : config::keys()) {
      if (section_of(key.name) != section.name) continue;
      std::string line = std::string(field_of(key.name)) + " = " + toml_value(key, loaded.config);
      if (line.size() < 44) line.resize(44, ' ');
      out += line + " # " + loaded.sources.at(std::string(key.name)).where + "\n";
    }
  }
  return out;
}

std::string print_config_json(const LoadedConfig& loaded) {
  // Our TOML values, finite numbers and escaped text, are JSON as they are.
  std::string out;
  for (const Key& key : config::keys()) {
    out += out.empty() ? "{\n" : ",\n";
    out += "  " + toml_text(key.name) + ": {\"value\": " + toml_value(key, loaded.config) +
           ", \"origin\": " + toml_text(loaded.sources.at(std::string(key.name)).where) + "}";
  }
  return out + "\n}\n";
}

std::string default_config_file() {
  const Config defaults;
  std::string out =
      "# Every key of Nudge with its default. Copy what differs on your robot into a file of its\n"
      "# own; keys you leave out keep these values. A later source wins: this file, your file, "
      "the\n"
      "# environment (NUDGE_LEARNER__BATCH=64), the command line (--set learner.batch=64).\n"
      "# Written by `nudge config defaults`; a test keeps it equal to the program.\n";
  for (const config::Section& section : config::sections()) {
    out += "\n" + comment(section.meaning) + "[" + std::string(section.name) + "]\n";
    for (const Key& key : config::keys()) {
      if (section_of(key.name) != section.name) continue;
      std::string about(key.meaning);
      const std::string allowed = allowed_text(key);
      about += " Allowed: " + allowed;
      if (!key.unit.empty() && key.unit != "1") about += ", in " + std::string(key.unit);
      about += ". Default from: " + std::string(key.origin_of_default) + ".";
      out += "\n" + comment(about) + std::string(field_of(key.name)) + " = " +
             toml_value(key, defaults) + "\n";
    }
  }
  return out;
}

std::string configuration_page() {
  std::string out =
      "# Configuration\n\n"
      "Nudge runs without any configuration. A deployment names what differs in a TOML file:\n\n"
      "```sh\n"
      "nudge demo --headless --config configs/kitchen.toml\n"
      "```\n\n"
      "A later source wins over an earlier one:\n\n"
      "1. the defaults on this page (the same as [`configs/default.toml`]"
      "(../../configs/default.toml))\n"
      "2. the file: `[learner]` and below it `batch = 64`\n"
      "3. the environment: `NUDGE_LEARNER__BATCH=64`, two underscores between section and key\n"
      "4. the command line: `--set learner.batch=64`, as often as you like\n\n"
      "`nudge config print` shows every value and where it came from, `nudge config check` only\n"
      "whether all of it is allowed. A key that does not exist is an error, and so is a value out "
      "of\nits range. Lists are written `[0.1, 0.2]`; on the command line `0.1,0.2` will do.\n"
      "A wrong configuration ends the program with exit code 78 before anything moves.\n\n"
      "This page is made from the table in `src/config/keys.cc`; a test keeps it equal to the "
      "program.\n";
  for (const config::Section& section : config::sections()) {
    out += "\n## [" + std::string(section.name) + "]\n\n" + std::string(section.meaning) +
           "\n\n| key | default | unit | allowed | meaning | where the default comes from |\n"
           "|---|---|---|---|---|---|\n";
    for (const ConfigKey& key : config_keys()) {
      if (section_of(key.name) != section.name) continue;
      out += "| `" + std::string(field_of(key.name)) + "` | `" + key.default_value + "` | " +
             key.unit + " | " + key.allowed + " | " + key.meaning + " | " + key.origin_of_default +
             " |\n";
    }
  }
  return out;
}

std::string training_text(const Config& config) {
  // How the process is run, and how chunks are played, does not change what is learned; where it
  // computes changes the last digits, as the kernels of the BLAS library do.
  // What a backbone is, its hash says; where its file lies changes nothing.
  const std::set<std::string_view> left_out = {"policy.backbone",
                                               "policy.replan_after",
                                               "policy.blend_ms",
                                               "policy.act_without_reference",
                                               "policy.guidance",
                                               "policy.device",
                                               "learner.device",
                                               "learner.seed",
                                               "learner.nice",
                                               "learner.require_sandbox",
                                               "learner.restart_first_s",
                                               "learner.restart_max_s"};
  std::set<std::string> lines;
  for (const Key& key : config::keys()) {
    const std::string_view section = section_of(key.name);
    if (section != "policy" && section != "learner") continue;
    if (left_out.count(key.name) != 0) continue;
    lines.insert(std::string(key.name) + " = " + toml_value(key, config) + "\n");
  }
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

}  // namespace nudge
