#include "src/cli/exit_code.h"

namespace nudge {

ExitCode exit_code(const Status& status) {
  switch (status.code()) {
    case Code::kOk: return kExitOk;
    case Code::kInvalidArgument: return kExitUsage;
    case Code::kNotFound: return kExitNoInput;
    case Code::kAlreadyExists: return kExitCannotCreate;
    case Code::kFailedPrecondition: return kExitTryAgain;
    case Code::kPermissionDenied: return kExitPermission;
    case Code::kResourceExhausted: return kExitIo;
    case Code::kUnavailable: return kExitUnavailable;
    case Code::kDeadlineExceeded: return kExitTryAgain;
    case Code::kDataLoss: return kExitData;
    case Code::kAborted: return kExitTryAgain;
    case Code::kUnimplemented: return kExitSoftware;
    case Code::kInternal: return kExitSoftware;
  }
  return kExitSoftware;
}

}  // namespace nudge
