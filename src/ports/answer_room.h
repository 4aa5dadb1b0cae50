// How many bytes of answers may wait for peers to take them: of each caller, and of all together.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace nudge {

class AnswerRoom {
  struct Taken {
    std::size_t all = 0;
    std::map<std::string, std::size_t> by_caller;
  };

 public:
  AnswerRoom(std::size_t in_all, std::size_t of_one)
      : in_all_(in_all), of_one_(of_one), taken_(std::make_shared<Taken>()) {}

  // Room that is given back with the object, which may outlive the AnswerRoom.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept {
      std::swap(taken_, other.taken_);
      std::swap(caller_, other.caller_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Place() {
      if (!taken_) return;
      taken_->all -= bytes_;
      const auto mine = taken_->by_caller.find(caller_);
      if ((mine->second -= bytes_) == 0) taken_->by_caller.erase(mine);
    }

   private:
    friend class AnswerRoom;
    Place(std::shared_ptr<Taken> taken, std::string caller, std::size_t bytes)
        : taken_(std::move(taken)), caller_(std::move(caller)), bytes_(bytes) {
      taken_->all += bytes_;
      taken_->by_caller[caller_] += bytes_;
    }
    std::shared_ptr<Taken> taken_;
    std::string caller_;
    std::size_t bytes_ = 0;
  };

  // None: there is not so much room now.
  std::optional<Place> take(const std::string& caller, std::size_t bytes) {
    const auto mine = taken_->by_caller.find(caller);
    const std::size_t before = mine == taken_->by_caller.end() ? 0 : mine->second;
    if (bytes > of_one_ || before > of_one_ - bytes) return std::nullopt;
    if (bytes > in_all_ || taken_->all > in_all_ - bytes) return std::nullopt;
    return Place(taken_, caller, bytes);
  }

 private:
  std::size_t in_all_, of_one_;
  std::shared_ptr<Taken> taken_;
};

}  // namespace nudge
