#include "src/cli/plot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "src/cli/scratch_folder.h"
#include "src/core/statistics.h"

namespace nudge {
namespace {

constexpr auto kTimeLimit = std::chrono::seconds(60);

// Text in gnuplot's single quotes, in which it expands nothing (in double quotes it would run what
// stands between backquotes). An apostrophe becomes the typographic one, so none can end the text;
// backquotes and control characters have no place in a picture.
std::string gnuplot_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '`') continue;
    if (c == '\'') {
      out += "\xe2\x80\x99";  // the typographic apostrophe
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string data_of(const LearningCurve& curve) {
  std::ostringstream out;
  out << "# corrected share low high interventions seconds\n";
  for (const CurvePoint& p : curve.points) {
    const Interval interval = wilson_interval(p.successes, p.starts);
    const auto known = [&](double value) -> std::string {
      if (!(value >= 0)) return "NaN";
      char text[32];
      std::snprintf(text, sizeof text, "%.6g", value);
      return text;
    };
    out << p.corrected_episodes << ' '
        << 100.0 * static_cast<double>(p.successes) / static_cast<double>(p.starts) << ' '
        << 100 * interval.low << ' ' << 100 * interval.high << ' '
        << known(p.interventions_per_100_steps) << ' ' << known(p.seconds_to_new_weights) << '\n';
  }
  return out.str();
}

std::string script_of(const LearningCurve& curve, const std::string& data,
                      const std::string& picture) {
  const CurvePoint& base = curve.points.front();
  const double base_share =
      100.0 * static_cast<double>(base.successes) / static_cast<double>(base.starts);
  const auto last = std::max<std::uint64_t>(curve.points.back().corrected_episodes, 1);
  double lowest = base_share;
  bool interventions = false;
  double slowest = -1;
  for (const CurvePoint& p : curve.points) {
    lowest = std::min(lowest, 100 * wilson_interval(p.successes, p.starts).low);
    interventions = interventions || p.interventions_per_100_steps >= 0;
    slowest = std::max(slowest, p.seconds_to_new_weights);
  }
  // The axis starts at a round number below the data, never so high that a small gain looks large.
  const int bottom = std::clamp(static_cast<int>(lowest / 10) * 10 - 10, 0, 50);
  const std::string ink = "'#24292f'", quiet = "'#8c959f'", grid = "'#e6e9ed'";
  const std::string blue = "'#1f6feb'", band = "'#cfe0fb'", orange = "'#d9730d'",
                    green = "'#1a7f5a'";

  std::ostringstream s;
  s << "set encoding utf8\n"
    << "set terminal pngcairo size 1200,1350 noenhanced font 'DejaVu Sans,13' background "
       "'#ffffff'\n"
    << "set output " << gnuplot_text(picture) << "\n"
    << "data = " << gnuplot_text(data) << "\n"
    << "set multiplot\n"
    << "set border 3 lc rgb " << quiet << "\n"
    << "set tics nomirror out scale 0.6 textcolor rgb " << ink << "\n"
    << "set grid ytics lc rgb " << grid << " lt 1 lw 1\n"
    << "set lmargin at screen 0.085\nset rmargin at screen 0.955\n"
    << "set xrange [" << -0.02 * static_cast<double>(last) << ':'
    << 1.02 * static_cast<double>(last) << "]\n"
    << "set xtics " << std::max<std::uint64_t>(1, (last + 14) / 15) << "\n"
    << "set style fill solid 1.0 noborder\n"
    << "set label 1 " << gnuplot_text(curve.title)
    << " at screen 0.03,0.972 left font 'DejaVu Sans,21' textcolor rgb " << ink << "\n"
    << "set label 2 " << gnuplot_text(curve.subtitle)
    << " at screen 0.03,0.945 left font 'DejaVu Sans,13' textcolor rgb " << quiet << "\n";
  const auto heading = [&](const char* text, double y) {
    s << "set label 3 " << gnuplot_text(text) << " at screen 0.03," << y
      << " left font 'DejaVu Sans,15' textcolor rgb " << ink << "\n";
  };
  const auto panel = [&](double bottom_edge, double top_edge) {
    s << "set bmargin at screen " << bottom_edge << "\nset tmargin at screen " << top_edge << "\n";
  };

  heading("Success on held-out starts, %, with its 95 % interval", 0.908);
  panel(0.515, 0.885);
  char base_text[64];
  std::snprintf(base_text, sizeof base_text, "base policy %.0f %%", base_share);
  s << "set yrange [" << bottom << ":101]\nset ytics 10\nset format x ''\n"
    << "set label 4 " << gnuplot_text(base_text) << " at graph 0.995, first " << base_share
    << " right offset 0,-0.8 textcolor rgb " << quiet << "\n"
    << "plot data using 1:3:4 with filledcurves lc rgb " << band << " notitle, \\\n"
    << "     data using 1:2:3:4 with yerrorbars pt 0 lw " << (curve.points.size() == 1 ? 2.5 : 0.8)
    << " lc rgb " << (curve.points.size() == 1 ? blue : "'#a9c7f5'") << " notitle, \\\n"
    << "     " << base_share << " with lines dt (8,6) lw 1.5 lc rgb " << quiet << " notitle, \\\n"
    << "     data using 1:2 with linespoints pt 7 ps 1.2 lw 2.6 lc rgb " << blue << " notitle\n"
    << "unset label 1\nunset label 2\nunset label 4\n";

  heading("Interventions per 100 steps", 0.472);
  panel(0.295, 0.45);
  s << "set yrange [0:*]\nset ytics auto\n";
  const auto nothing = [&](const char* text) {
    s << "set label 5 " << gnuplot_text(text) << " at graph 0.5,0.5 center textcolor rgb " << quiet
      << "\nset yrange [0:1]\nunset ytics\nplot NaN notitle\nunset label 5\nset ytics auto\n";
  };
  if (interventions) {
    s << "plot data using 1:5 with filledcurves above y=0 lc rgb '#fbe6d3' notitle, \\\n"
      << "     data using 1:5 with linespoints pt 7 ps 1.1 lw 2.4 lc rgb " << orange
      << " notitle\n";
  } else {
    nothing("not measured");
  }

  heading("Seconds from the end of a correction to the first action of new weights", 0.252);
  panel(0.075, 0.23);
  s << "set format x '%g'\nset xlabel 'corrected episodes' textcolor rgb " << ink << "\n"
    << "set yrange [0:" << (slowest > 0 ? 1.15 * slowest : 1.0) << "]\n";
  if (slowest >= 0) {
    s << "plot data using 1:6 with impulses lw 5 lc rgb '#cbe8dc' notitle, \\\n"
      << "     data using 1:6 with points pt 7 ps 1.1 lc rgb " << green << " notitle\n";
  } else {
    nothing("not measured");
  }
  s << "unset multiplot\n";
  return s.str();
}

// Runs a program without a shell; its words go to `log`. Its exit status, or a reason.
Result<int> run_program(const std::string& program, const std::vector<std::string>& arguments,
                        const std::string& log) {
  std::vector<char*> argv;
  std::vector<std::string> storage = {program};
  storage.insert(storage.end(), arguments.begin(), arguments.end());
  for (std::string& argument : storage) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return unavailable(program + " cannot be started: " + std::strerror(error));
  const auto start = std::chrono::steady_clock::now();
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR) {
      return internal(program + " cannot be waited for: " + std::strerror(errno));
    }
    if (std::chrono::steady_clock::now() - start > kTimeLimit) {
      kill(child, SIGKILL);
      while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      return deadline_exceeded(program + " did not end within 60 s");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string first_bytes(const std::string& path, std::size_t count) {
  std::ifstream in(path, std::ios::binary);
  std::string text(count, '\0');
  in.read(text.data(), static_cast<std::streamsize>(count));
  text.resize(static_cast<std::size_t>(in.gcount()));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;  // POSIX reads it as the current folder; that is never meant
    std::string candidate = folder + "/" + name;
    struct stat info {};
    if (stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return "";
}

Status plot_learning_curve(const LearningCurve& curve, const std::string& png_path) {
  if (curve.points.empty()) return invalid_argument("a learning curve needs at least one point");
  for (const CurvePoint& p : curve.points) {
    if (p.starts == 0 || p.successes > p.starts) {
      return invalid_argument("learning curve, after " + std::to_string(p.corrected_episodes) +
                              " corrected episodes: " + std::to_string(p.successes) + " of " +
                              std::to_string(p.starts) + " starts is no share");
    }
  }
  const std::string gnuplot = find_program("gnuplot");
  if (gnuplot.empty()) {
    return unavailable(
        "the learning curve is not drawn: gnuplot is not installed (apt-get install gnuplot-nox)");
  }
  const ScratchFolder scratch("plot");
  if (scratch.path().empty()) {
    return resource_exhausted(std::string("no folder for temporary files: ") +
                              std::strerror(errno));
  }
  const std::string data = scratch.path() + "/curve.dat";
  const std::string script = scratch.path() + "/curve.gp";
  const std::string picture = scratch.path() + "/curve.png";
  std::ofstream(data) << data_of(curve);
  std::ofstream(script) << script_of(curve, data, picture);
  const std::string log = scratch.path() + "/gnuplot.log";
  // -d: the user's own start-up file must not change the picture.
  const Result<int> code = run_program(gnuplot, {"-d", script}, log);
  if (!code.ok()) return code.status().with_context("the learning curve is not drawn");
  std::error_code error;
  if (*code != 0 || std::filesystem::file_size(picture, error) == 0 || error) {
    return internal("gnuplot failed with status " + std::to_string(*code) + ": " +
                    first_bytes(log, 500));
  }
  std::filesystem::copy_file(picture, png_path, std::filesystem::copy_options::overwrite_existing,
                             error);
  if (error) {
    return unavailable("the learning curve cannot be written to " + png_path + ": " +
                       error.message());
  }
  return {};
}

}  // namespace nudge
