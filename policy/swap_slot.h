// Hands a prepared object from the thread that made it to the thread that uses it, latest one wins.
//
// The design is the triple buffer of real-time graphics and audio (one slot belongs to the writer,
// one to the reader, and the third changes hands by one atomic exchange), with pointers for slots,
// so that a value is handed over whole or not at all. "Wait-free" as in Herlihy, "Wait-free
// synchronization", 1991: the taker finishes in a bounded number of its own steps, whatever the
// publisher does. RealtimeBuffer of ros-controls' realtime_tools, the field's usual answer, guards
// two slots with a try-lock instead; its reader can find the lock taken and keep the old value.
//
// Memory stays off the taker: what it gives up travels back, and the publisher frees it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace nudge {

// T: a value that is complete when it is published (loaded, verified, warmed), typically a
// std::shared_ptr<const Head>: then the publisher can keep an older head resident by keeping its
// own pointer, and the taker never drops the last one. One publisher thread and one taker thread;
// which threads these are may change only with synchronisation between them.
template <typename T>
class SwapSlot {
 public:
  SwapSlot() = default;
  SwapSlot(const SwapSlot&) = delete;
  SwapSlot& operator=(const SwapSlot&) = delete;

  // Frees what is still in the slots. Both threads must have finished with the slot.
  ~SwapSlot() {
    delete offered_.load(std::memory_order_acquire);
    free_chain(returned_.load(std::memory_order_acquire));
    delete in_use_;
  }

  // Publisher. Offers `value`, in place of one that was offered and not yet taken. Frees (here) the
  // one replaced and all that the taker has retired. Wait-free but for the allocator.
  void publish(T value) {
    delete offered_.exchange(new Node{std::move(value), nullptr}, std::memory_order_acq_rel);
    collect();
  }

  // Publisher. Takes back an offer that nobody has taken (a rollback overtakes a swap); nothing
  // when there is none.
  std::optional<T> withdraw() {
    const std::unique_ptr<Node> node(offered_.exchange(nullptr, std::memory_order_acq_rel));
    if (node == nullptr) return std::nullopt;
    return std::move(node->value);
  }

  // Publisher. Frees what the taker has retired, so that it does not wait for the next publish().
  // Returns how many values were freed.
  std::size_t collect() {
    return free_chain(returned_.exchange(nullptr, std::memory_order_acq_rel));
  }

  // Taker. The newest value offered since the last call, or nullptr. Wait-free: one load, and two
  // exchanges when there is something. The result stays valid until the next call that returns one;
  // the value that it replaces is retired. Neither allocates nor frees.
  const T* try_take() {
    if (offered_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    Node* const node = offered_.exchange(nullptr, std::memory_order_acq_rel);
    if (node == nullptr) return nullptr;  // withdrawn in between
    if (in_use_ != nullptr) retire(in_use_);
    in_use_ = node;
    return &node->value;
  }

  // Taker. The value in use; nullptr before the first try_take() that returned one.
  const T* current() const { return in_use_ == nullptr ? nullptr : &in_use_->value; }

 private:
  struct Node {
    T value;
    Node* next = nullptr;  // in the chain of retired nodes
  };
  static_assert(std::atomic<Node*>::is_always_lock_free);

  // A stack that is only ever emptied as a whole has no ABA problem (Treiber, "Systems programming:
  // coping with parallelism", 1986). The taker is the only one that pushes, so its exchange fails
  // only if the publisher has emptied the stack in between; an empty stack stays empty, so the
  // second try succeeds. That bound makes it wait-free.
  void retire(Node* node) {
    node->next = returned_.load(std::memory_order_relaxed);
    while (!returned_.compare_exchange_strong(node->next, node, std::memory_order_release,
                                              std::memory_order_relaxed)) {
    }
  }

  static std::size_t free_chain(Node* node) {
    std::size_t count = 0;
    while (node != nullptr) {
      const std::unique_ptr<Node> owned(node);
      node = owned->next;
      ++count;
    }
    return count;
  }

  std::atomic<Node*> offered_{nullptr};
  std::atomic<Node*> returned_{nullptr};
  Node* in_use_ = nullptr;  // touched only by the taker (and the destructor)
};

}  // namespace nudge
