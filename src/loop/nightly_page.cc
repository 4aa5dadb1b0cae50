#include "src/loop/nightly_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace nudge {
namespace {

// Colours that hold on white and on dark; their names are in the page's style.
constexpr const char* kStyle = R"(
:root{--ink:#1f2328;--quiet:#59636e;--line:#d1d9e0;--page:#fff;--soft:#f6f8fa;--before:#8c959f;
--after:#1f6feb;--good:#1a7f37;--bad:#cf222e}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9198a1;--line:#3d444d;
--page:#0d1117;--soft:#151b23;--before:#9198a1;--after:#58a6ff;--good:#3fb950;--bad:#f85149}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.2rem 4rem;max-width:62rem;background:var(--page);
color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:2.4rem 0 .4rem}
p{margin:.4rem 0;max-width:46rem}.quiet{color:var(--quiet)}
.verdict{margin:1.2rem 0;padding:.8rem 1rem;border:1px solid var(--line);border-left-width:.4rem;
border-radius:.3rem;background:var(--soft)}
.verdict.good{border-left-color:var(--good)}.verdict.bad{border-left-color:var(--bad)}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .8rem .25rem 0;text-align:right;border-bottom:1px solid var(--line);
vertical-align:top}
th{font-weight:600;color:var(--quiet)}td:first-child,th:first-child{text-align:left}
svg{display:block;max-width:100%;height:auto;margin:.6rem 0}
svg text{fill:var(--ink);font:13px system-ui,sans-serif}svg .q{fill:var(--quiet)}
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

template <typename... T>
std::string text(const char* format, T... values) {
  char out[512];
  std::snprintf(out, sizeof out, format, values...);
  return out;
}

std::string count(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}
std::string plural(std::uint64_t value, const std::string& noun, const std::string& ending = "s") {
  return count(value) + " " + noun + (value == 1 ? "" : ending);
}

std::string table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"wide\"><table><thead><tr>";
  for (const std::string& cell : head) out += "<th scope=\"col\">" + escaped(cell) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += "<td>" + escaped(cell) + "</td>";
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

// ---- plots --------------------------------------------------------------------------------------

// A picture whose coordinates are pixels; y goes down.
class Svg {
 public:
  Svg(double width, double height, const std::string& title)
      : out_(text("<svg viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" role=\"img\">", width, height,
                  width) +
             "<title>" + escaped(title) + "</title>\n") {}
  void line(double x1, double y1, double x2, double y2, const char* colour, double width = 1,
            const char* dashes = "") {
    out_ += text(
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"var(--%s)\" "
        "stroke-width=\"%.1f\"%s%s%s/>\n",
        x1, y1, x2, y2, colour, width, *dashes != '\0' ? " stroke-dasharray=\"" : "", dashes,
        *dashes != '\0' ? "\"" : "");
  }
  void dot(double x, double y, const char* colour) {
    out_ += text("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"var(--%s)\"/>\n", x, y, colour);
  }
  void bar(double x, double y, double width, double height, const char* colour) {
    out_ +=
        text("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--%s)\"/>\n", x,
             y, std::max(0.0, width), std::max(0.0, height), colour);
  }
  void label(double x, double y, const std::string& words, const char* anchor = "start",
             bool quiet = false) {
    out_ += text("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor,
                 quiet ? " class=\"q\"" : "") +
            escaped(words) + "</text>\n";
  }
  std::string done() const { return out_ + "</svg>\n"; }

 private:
  std::string out_;
};

std::string shortened(const std::string& words, std::size_t most) {
  if (words.size() <= most) return words;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(words[end]) & 0xc0) == 0x80) --end;  // UTF-8
  return words.substr(0, end) + "…";
}

struct Whisker {
  double at = 0;
  std::optional<Interval> interval;
};
struct Rows {
  std::string name;
  std::optional<Whisker> before;
  Whisker after;
  std::string figures;
};

// One line a task: a dot and its interval before, and one after.
std::string before_and_after(const std::vector<Rows>& rows, double low, double high,
                             const char* format, const std::string& title) {
  const double left = 240, right = 640, step = 44, top = 26;
  const double bottom = top + step * static_cast<double>(rows.size());
  const auto x = [&](double value) {
    return left + (right - left) * (std::clamp(value, low, high) - low) / (high - low);
  };
  Svg svg(860, bottom + 30, title);
  for (int tick = 0; tick <= 4; ++tick) {
    const double value = low + (high - low) * tick / 4;
    svg.line(x(value), top - 8, x(value), bottom, "line");
    svg.label(x(value), bottom + 18, text(format, value), "middle", true);
  }
  svg.dot(left, 10, "before");
  svg.label(left + 9, 14, "before", "start", true);
  svg.dot(left + 80, 10, "after");
  svg.label(left + 89, 14, "after", "start", true);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double y = top + step * (static_cast<double>(i) + 0.5);
    svg.label(0, y + 4, shortened(rows[i].name, 34));
    const auto draw = [&](const Whisker& of, double at, const char* colour) {
      if (of.interval) svg.line(x(of.interval->low), at, x(of.interval->high), at, colour, 2.5);
      svg.dot(x(of.at), at, colour);
    };
    if (rows[i].before) draw(*rows[i].before, y - 7, "before");
    draw(rows[i].after, y + 7, "after");
    svg.label(right + 14, y + 4, rows[i].figures, "start", true);
  }
  return svg.done();
}

std::string simulation(const NightlyResult& result) {
  if (result.simulation.empty()) {
    return "<p>Not measured: this robot cannot be simulated here, or nightly.starts is 0.</p>\n";
  }
  std::vector<Rows> rows;
  const auto share = [](std::uint64_t successes, std::uint64_t starts) {
    const Interval interval = wilson_interval(successes, starts);
    return Whisker{100.0 * static_cast<double>(successes) / static_cast<double>(starts),
                   Interval{100 * interval.low, 100 * interval.high}};
  };
  for (const TaskSuccess& task : result.simulation) {
    Rows row;
    row.name = task.task == "all" ? "all starts" : task_name(task.task);
    row.after = share(task.after, task.starts);
    row.figures = count(task.after) + " of " + count(task.starts);
    if (task.before) {
      row.before = share(*task.before, task.starts);
      row.figures = count(*task.before) + " → " + row.figures;
    }
    rows.push_back(std::move(row));
  }
  const TaskSuccess& all = result.simulation.front();
  std::string out =
      "<p>Episodes with nobody helping, from starts that nothing was trained on, in %; bars are "
      "Wilson's 95 % intervals.</p>\n" +
      before_and_after(rows, 0, 100, "%.0f %%", "Success in simulation, before and after");
  if (all.before) {
    out += "<p class=\"quiet\">Start by start: " + count(all.only_after) + " succeed only after, " +
           count(all.only_before) + " only before.</p>\n";
  }
  return out;
}

std::string errors(const std::vector<TaskError>& of, const std::string& title,
                   const std::string& nothing) {
  if (of.empty()) return "<p>" + nothing + "</p>\n";
  double most = 0;
  for (const TaskError& error : of) most = std::max({most, error.after, error.before.value_or(0)});
  std::vector<Rows> rows;
  for (const TaskError& error : of) {
    Rows row;
    row.name = error.task == "all" ? "all episodes" : task_name(error.task);
    row.after = {.at = error.after, .interval = {}};
    if (error.before) row.before = Whisker{.at = *error.before, .interval = {}};
    // Errors are paired: the interval of the change, laid around what was before.
    if (error.change && error.before) {
      row.after.interval =
          Interval{*error.before + error.change->low, *error.before + error.change->high};
      most = std::max(most, row.after.interval->high);
    }
    row.figures = plural(error.episodes, "episode");
    if (error.change) {
      row.figures += text(", %+.3f to %+.3f", error.change->low, error.change->high);
    }
    rows.push_back(std::move(row));
  }
  const double scale = most > 0 ? most : 1;
  return before_and_after(rows, 0, 1.1 * scale, "%.2f", title);
}

std::string calibration(const ValueReport& value) {
  const double left = 60, right = 420, top = 14, bottom = 374;
  const auto x = [&](double v) { return left + (right - left) * (v + 1); };
  const auto y = [&](double v) { return bottom - (bottom - top) * (v + 1); };
  Svg svg(440, 425, "What followed, over what the value function expected");
  for (int tick = 0; tick <= 4; ++tick) {
    const double v = -1 + tick / 4.0;
    svg.line(x(v), top, x(v), bottom, "line");
    svg.line(left, y(v), right, y(v), "line");
    svg.label(x(v), bottom + 18, text("%.2f", v), "middle", true);
    svg.label(left - 8, y(v) + 4, text("%.2f", v), "end", true);
  }
  svg.line(x(-1), y(-1), x(0), y(0), "quiet", 1.5, "6 5");
  for (const CalibrationBin& bin : value.calibration) {
    svg.line(x(bin.value), y(bin.interval.low), x(bin.value), y(bin.interval.high), "after", 2.5);
    svg.dot(x(bin.value), y(bin.outcome), "after");
  }
  svg.label((left + right) / 2, bottom + 40, "expected return", "middle");
  svg.label(left + 8, top + 16, "return that followed");
  return svg.done();
}

std::string histogram(const ValueReport& value) {
  if (value.advantages.empty()) return "";
  const double left = 20, right = 620, top = 26, bottom = 196;
  std::uint64_t most = 1;
  for (const ValueReport::Bar& bar : value.advantages) {
    most = std::max(most, bar.positive + bar.negative);
  }
  const double low = value.advantages.front().from, high = value.advantages.back().to;
  const auto x = [&](double v) { return left + (right - left) * (v - low) / (high - low); };
  const auto height = [&](std::uint64_t steps) {
    return (bottom - top) * static_cast<double>(steps) / static_cast<double>(most);
  };
  Svg svg(640, 225, "Advantages of what the policy did, by token");
  svg.bar(left, 4, 12, 12, "good");
  svg.label(left + 18, 14, "positive: to be repeated", "start", true);
  svg.bar(left + 190, 4, 12, 12, "bad");
  svg.label(left + 208, 14, "negative", "start", true);
  for (const ValueReport::Bar& bar : value.advantages) {
    const double width = x(bar.to) - x(bar.from) - 1;
    const double good = height(bar.positive), bad = height(bar.negative);
    svg.bar(x(bar.from), bottom - good, width, good, "good");
    svg.bar(x(bar.from), bottom - good - bad, width, bad, "bad");
  }
  svg.line(left, bottom, right, bottom, "quiet");
  if (low < 0 && high > 0) svg.line(x(0), top, x(0), bottom, "quiet", 1, "4 4");
  for (const double v : {low, (low + high) / 2, high}) {
    svg.label(x(v), bottom + 18, text("%+.3f", v),
              v == low    ? "start"
              : v == high ? "end"
                          : "middle",
              true);
  }
  return svg.done();
}

// ---- sections -----------------------------------------------------------------------------------

std::string verdict(const NightlyResult& result) {
  const bool promoted = result.outcome == NightlyOutcome::kPromoted;
  std::string out = "<div class=\"verdict " + std::string(promoted ? "good" : "bad") + "\">";
  if (promoted) {
    out += "<strong>Weights v" + count(result.version) +
           " are promoted</strong>: they boot from "
           "now on" +
           (result.before != 0 ? ", in place of v" + count(result.before) : "") + ".";
  } else {
    out += "<strong>Not promoted.</strong> " +
           std::string(result.reason == "worse_in_simulation"
                           ? "The new weights are worse in simulation: "
                           : "") +
           escaped(result.detail) + ". " +
           (result.before != 0 ? "v" + count(result.before) + " goes on."
                               : "There are still no weights.");
  }
  return out + "</div>\n";
}

std::string people(const DatasetCounts& counts) {
  std::vector<std::vector<std::string>> rows;
  for (const SupervisorCounts& person : counts.supervisors) {
    rows.push_back({person.name, count(person.corrections), count(person.recoveries),
                    count(person.nudged), count(person.held_out)});
  }
  std::string out = "<p>" + plural(counts.demonstrations, "demonstration") + ", " +
                    plural(counts.deployments, "episode") + " of work (" +
                    plural(counts.successes, "success", "es") + " and " +
                    plural(counts.failures, "failure") + " by their labels), " +
                    plural(counts.corrected_episodes, "corrected episode") + ", of which " +
                    count(counts.held_out_episodes) + " are held out.</p>\n";
  if (rows.empty()) return out + "<p>Nobody has corrected the robot yet.</p>\n";
  return out + table({"person", "corrections", "recoveries", "nudged", "held out"}, rows) +
         "<p class=\"quiet\">In policy steps. What was held out has taught nothing; it "
         "judges.</p>\n";
}

std::string classes(const NightlyResult& result) {
  static constexpr std::array<std::pair<SampleClass, const char*>, kSampleClasses> kNames = {{
      {SampleClass::kDemonstration, "demonstrations"},
      {SampleClass::kCorrection, "corrections"},
      {SampleClass::kRecovery, "recoveries"},
      {SampleClass::kNudged, "nudged by words"},
      {SampleClass::kAutonomousSuccess, "alone, in a success"},
      {SampleClass::kBeforeTakeover, "alone, just before a takeover"},
      {SampleClass::kAutonomousFailure, "alone, in a failure, and mistakes shown"},
  }};
  std::vector<std::vector<std::string>> rows;
  for (const auto& [c, name] : kNames) {
    const auto i = static_cast<std::size_t>(c);
    rows.push_back({name, count(result.counts.trainable[i]), count(result.counts.held_out[i])});
  }
  return table({"steps", "may teach", "held out"}, rows);
}

std::string advantage(const NightlyResult& result) {
  if (!result.about_advantage.empty() || !result.value) {
    return "<p>Steps were not judged one by one: " + escaped(result.about_advantage) + ".</p>\n";
  }
  const ValueReport& value = *result.value;
  std::vector<std::vector<std::string>> rows;
  for (const TaskJudgement& task : result.tasks) {
    rows.push_back({task_name(task.task), count(task.successes) + " of " + count(task.episodes),
                    count(task.longest), text("%+.3f", task.policy.threshold),
                    count(task.policy.positive), count(task.policy.negative),
                    count(task.shown.positive), count(task.shown.negative)});
  }
  return "<p>Each step that the policy drove in a labelled episode was judged: by how much better "
         "things stood some steps later than a value function had expected. It had not learned "
         "from that episode. Positive steps are to be repeated, in failures as well as in "
         "successes; what led to a takeover is negative, and what people drove is positive. Only "
         "in demonstrations that failed are people&#39;s steps judged as well, up to the mistake: "
         "the positive ones teach as any demonstration does.</p>\n" +
         table({"task", "went well", "longest, steps", "threshold", "positive", "negative",
                "shown, positive", "shown, negative"},
               rows) +
         histogram(value) +
         "<h2>How good the value function is</h2>\n<p>Returns are 0 where an "
         "episode is about to succeed and −1 at the start of the longest failure. Over " +
         plural(value.successes, "success", "es") + " and " + plural(value.failures, "failure") +
         text(
             ": in the middle of an episode it ranks a success above a failure in %.0f of 100 "
             "pairs (50: it cannot tell), and it explains %.0f %% of the returns&#39; "
             "variance.</p>\n",
             100 * value.told_apart, 100 * value.explained) +
         calibration(value) +
         "<p class=\"quiet\">Each dot is a tenth of the steps; the bar is the 95 % interval of "
         "what followed, with the steps of an episode taken as one. On the dashed line what "
         "followed is what was expected.</p>\n";
}

std::string candidates(const NightlyResult& result) {
  std::vector<std::vector<std::string>> rows;
  for (const NightlyCandidate& one : result.candidates) {
    rows.push_back({one.name == "scratch" ? "from scratch" : "from the confirmed version",
                    one.held_out_error ? text("%.3f", *one.held_out_error) : "none",
                    count(one.held_out_episodes),
                    !one.refused.empty() ? "refused: " + one.refused
                    : one.chosen         ? "offered to the gate"
                                         : ""});
  }
  return table({"training", "error on held-out corrections", "episodes", ""}, rows);
}

}  // namespace

std::string nightly_page(const NightlyResult& result, const std::string& written) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\"><title>Nightly training of " +
      escaped(result.robot) + "</title><style>" + kStyle + "</style></head><body>\n";
  out += "<h1>Nightly training of " + escaped(result.robot) + "</h1>\n<p class=\"quiet\">" +
         escaped(written) + ", on the log up to entry " + count(result.material) + "; " +
         count(result.steps) + " steps, seed " + std::to_string(result.seed) + ", configuration " +
         escaped(result.config_hash.substr(0, 12)) + "</p>\n";
  out += verdict(result);
  out += "<h2>Success in simulation</h2>\n" + simulation(result);
  out +=
      "<h2>Held-out corrections</h2>\n<p>How far the policy is from what people did in episodes "
      "that nothing was trained on, in standard deviations of the demonstrated actions: less is "
      "better. The bar is the 95 % interval of the paired change.</p>\n" +
      errors(result.held_out, "Error on held-out corrections, before and after",
             "There are none yet: every fifth corrected episode is one.");
  out +=
      "<h2>Demonstrations</h2>\n<p>The same on demonstrations, which were trained on: whether "
      "they are still known.</p>\n" +
      errors(result.demonstrations, "Error on demonstrations, before and after",
             "The log holds none.");
  out += "<h2>What was tried</h2>\n" + candidates(result);
  out += "<h2>Who taught</h2>\n" + people(result.counts) + classes(result);
  out += "<h2>Which steps went well</h2>\n" + advantage(result);
  return out + "</body></html>\n";
}

}  // namespace nudge
