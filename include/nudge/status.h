// Errors as values. Every function that can fail returns Status or Result<T>; exceptions of third
// parties are caught once, at the boundary where they enter.
//
//   Result<Weights> weights = load(path);
//   if (!weights.ok()) return weights.status();
//   use(*weights);
//
// A message says what was wrong, where, and what to do about it. Thread-safe as values are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace nudge {

enum class Code {
  kOk,
  kInvalidArgument,     // the caller's input is wrong; sending it again cannot help
  kNotFound,            // the named thing does not exist
  kAlreadyExists,       // the named thing exists and may not be replaced
  kFailedPrecondition,  // right input, wrong moment (state, lease, role, version)
  kPermissionDenied,    // the role or the key does not allow it
  kResourceExhausted,   // disk, queue or memory is full; may succeed later
  kUnavailable,         // a peer, a device or a lock is not there; may succeed later
  kDeadlineExceeded,    // too late
  kDataLoss,            // bytes are damaged or missing
  kAborted,             // given up in favour of something newer
  kUnimplemented,       // a newer format, or something this build does not carry
  kInternal,            // a bug in Nudge
};

// Stable, lower-case name of a code, for logs and wire formats.
std::string_view to_string(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with the place it passed through in front: "weights v3: file is truncated".
  Status with_context(std::string_view context) const;

  friend bool operator==(const Status&, const Status&) = default;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status invalid_argument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
inline Status not_found(std::string m) { return {Code::kNotFound, std::move(m)}; }
inline Status already_exists(std::string m) { return {Code::kAlreadyExists, std::move(m)}; }
inline Status failed_precondition(std::string m) {
  return {Code::kFailedPrecondition, std::move(m)};
}
inline Status permission_denied(std::string m) { return {Code::kPermissionDenied, std::move(m)}; }
inline Status resource_exhausted(std::string m) { return {Code::kResourceExhausted, std::move(m)}; }
inline Status unavailable(std::string m) { return {Code::kUnavailable, std::move(m)}; }
inline Status deadline_exceeded(std::string m) { return {Code::kDeadlineExceeded, std::move(m)}; }
inline Status data_loss(std::string m) { return {Code::kDataLoss, std::move(m)}; }
inline Status aborted(std::string m) { return {Code::kAborted, std::move(m)}; }
inline Status unimplemented(std::string m) { return {Code::kUnimplemented, std::move(m)}; }
inline Status internal(std::string m) { return {Code::kInternal, std::move(m)}; }

// A value or the reason why there is none. Reading the value of a failed result is a bug.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok()) status_ = internal("Result made from an ok Status without a value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace nudge

// Returns the error of a Status expression from the enclosing function.
#define NUDGE_TRY(expression)                                                      \
  do {                                                                             \
    if (::nudge::Status nudge_try_status_ = (expression); !nudge_try_status_.ok()) \
      return nudge_try_status_;                                                    \
  } while (false)
