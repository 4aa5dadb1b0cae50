#include "src/daemon/curve_door.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "src/ports/change_lock.h"
#include "src/ports/private_file.h"

namespace nudge {
namespace {

// Of two looks at the file: a key that was revoked is gone within a second.
constexpr std::chrono::milliseconds kPeriod{400};
constexpr std::chrono::milliseconds kNap{50};  // how long stopping may take

}  // namespace

CurveDoor::CurveDoor(std::unique_ptr<Folder> folder, EventLoop& loop, Tell tell)
    : folder_(std::move(folder)),
      loop_(loop),
      tell_(std::move(tell)),
      self_(std::make_shared<CurveDoor*>(this)) {}

Result<std::unique_ptr<CurveDoor>> CurveDoor::open(const std::string& run_folder, EventLoop& loop,
                                                   Tell tell) {
  Result<std::unique_ptr<Folder>> folder = open_folder(run_folder);
  if (!folder.ok()) return folder.status();
  const Result<ChangeLock> lock = ChangeLock::take(run_folder);
  if (!lock.ok()) return lock.status();
  Result<CurveIdentity> identity = CurveIdentity::load_or_create(**folder, kCurveKeyFile);
  if (!identity.ok()) return identity.status().with_context(run_folder);
  std::unique_ptr<CurveDoor> door(new CurveDoor(*std::move(folder), loop, std::move(tell)));
  door->identity_ = std::make_shared<const CurveIdentity>(*std::move(identity));
  Result<Keyring> keyring = door->read();
  if (!keyring.ok()) return keyring.status().with_context(run_folder);
  door->keyring_ = *std::move(keyring);
  door->thread_ = std::thread([d = door.get()] { d->watch(); });
  pthread_setname_np(door->thread_.native_handle(), "nudge-keys");
  return door;
}

CurveDoor::~CurveDoor() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  *self_ = nullptr;
}

std::function<std::optional<Actor>(const CurveKey&)> CurveDoor::admits(Keyring::Use use) const {
  return [this, use](const CurveKey& key) { return keyring_.who_is(use, key); };
}

Result<Keyring> CurveDoor::read() {
  Result<std::string> text = read_private(*folder_, kKeyringFile, Keyring::kMaxFile);
  if (text.status().code() == Code::kNotFound) text = std::string();
  if (!text.ok()) return text.status();
  text_ = *std::move(text);
  return text_.empty() ? Keyring() : Keyring::decode(text_);
}

void CurveDoor::watch() {
  Status trouble;
  while (!stop_) {
    for (auto slept = kNap; slept < kPeriod && !stop_; slept += kNap) {
      std::this_thread::sleep_for(kNap);
    }
    const std::string before = text_;
    Result<Keyring> keyring = read();
    const bool told = keyring.status() == trouble;
    trouble = keyring.status();
    if (!trouble.ok() && !told) {
      tell_("the list of keys cannot be used, so that " +
            std::string(trouble.code() == Code::kUnavailable ? "it stays as it was: "
                                                             : "nobody may come in: ") +
            trouble.message());
    }
    // A disk that fails for a moment must not stop the robot; a list that is no list lets nobody
    // in.
    if (trouble.code() == Code::kUnavailable) continue;
    if (trouble.ok() ? (told && text_ == before) : told) continue;
    Keyring now = trouble.ok() ? *std::move(keyring) : Keyring();
    loop_.post([self = self_, now = std::move(now)]() mutable {
      if (*self == nullptr) return;
      (*self)->keyring_ = std::move(now);
      for (const auto& call : (*self)->changed_) call();
    });
  }
}

}  // namespace nudge
