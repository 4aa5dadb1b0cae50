#include "src/ports/event_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace nudge {
namespace asio = boost::asio;

struct EventLoop::Impl {
  // One thread: no locks inside the sockets.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

namespace {

// A callback must not run once its token is gone, even when its completion already waits in the
// queue: handlers hold a weak pointer and look.
struct Timer : std::enable_shared_from_this<Timer> {
  Timer(asio::io_context& context, Duration period, bool repeat, std::function<void()> work)
      : timer(context), period(period), repeat(repeat), work(std::move(work)) {}

  void start() {
    due = std::chrono::steady_clock::now() + period;
    wait();
  }
  void wait() {
    timer.expires_at(due);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const std::shared_ptr<Timer> self = weak.lock();
      if (!self || error) return;
      if (self->repeat) {
        const auto now = std::chrono::steady_clock::now();
        self->due += self->period;
        if (self->due < now) self->due = now + self->period;
        self->wait();
      }
      self->work();
    });
  }

  asio::steady_timer timer;
  Duration period;
  bool repeat;
  std::function<void()> work;
  std::chrono::steady_clock::time_point due;
};

struct Watch : std::enable_shared_from_this<Watch> {
  Watch(asio::io_context& context, int descriptor, std::function<void()> work)
      : stream(context, descriptor), work(std::move(work)) {}
  ~Watch() { stream.release(); }

  void wait() {
    stream.async_wait(asio::posix::stream_descriptor::wait_read,
                      [weak = weak_from_this()](const boost::system::error_code& error) {
                        const std::shared_ptr<Watch> self = weak.lock();
                        if (!self || error) return;
                        self->wait();
                        self->work();
                      });
  }

  asio::posix::stream_descriptor stream;
  std::function<void()> work;
};

}  // namespace

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  impl_->context.restart();
  impl_->context.run();
}
void EventLoop::stop() { impl_->context.stop(); }

void EventLoop::post(std::function<void()> work) { asio::post(impl_->context, std::move(work)); }

std::shared_ptr<void> EventLoop::every(Duration period, std::function<void()> work) {
  auto timer = std::make_shared<Timer>(impl_->context, period, true, std::move(work));
  timer->start();
  return timer;
}

std::shared_ptr<void> EventLoop::after(Duration delay, std::function<void()> work) {
  auto timer = std::make_shared<Timer>(impl_->context, delay, false, std::move(work));
  timer->start();
  return timer;
}

std::shared_ptr<void> EventLoop::when_readable(int descriptor, std::function<void()> work) {
  auto watch = std::make_shared<Watch>(impl_->context, descriptor, std::move(work));
  watch->wait();
  return watch;
}

asio::io_context& EventLoop::context() { return impl_->context; }

}  // namespace nudge
