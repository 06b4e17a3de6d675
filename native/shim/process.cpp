// The process: dying with the parent, and the socket to the server.
#include "internal.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

namespace mlo {
namespace {

// Jobs write a byte here when they end, so that one poll waits for them and for the socket.
struct wake_pipe {
    int ends[2] = {-1, -1};
    wake_pipe() {
        if (pipe(ends) == 0) {
            for (int end : ends) {
                fcntl(end, F_SETFL, O_NONBLOCK);
                fcntl(end, F_SETFD, FD_CLOEXEC);
            }
        }
    }
} wake;

} // namespace

void wake_waiter() {
    const char byte = 1;
    // A full pipe already holds a wake-up.
    if (write(wake.ends[1], &byte, 1) < 0) {
        return;
    }
}

void stand_back() {
    // A priority that can't be lowered is no reason to fail.
#ifdef __linux__
    (void) setpriority(PRIO_PROCESS, (id_t) syscall(SYS_gettid), 19);
#elif defined(__APPLE__)
    (void) setpriority(PRIO_DARWIN_THREAD, 0, PRIO_DARWIN_BG);
#endif
}

} // namespace mlo

int32_t mlo_die_with_parent(int32_t parent) {
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return -errno;
    }
    // The parent may have died before the call.
    if (getppid() != parent) {
        _exit(1);
    }
    return 0;
#else
    std::thread([parent] {
        while (getppid() == parent) {
            usleep(200 * 1000);
        }
        _exit(1);
    }).detach();
    return 0;
#endif
}

int32_t mlo_wait(int32_t socket, int32_t timeoutMs) {
    pollfd fds[2] = {{socket, POLLIN, 0}, {mlo::wake.ends[0], POLLIN, 0}};
    const int count = poll(fds, 2, timeoutMs);
    if (count <= 0) {
        return 0;
    }
    int32_t bits = 0;
    if (fds[0].revents) {
        bits |= 1;
    }
    if (fds[1].revents) {
        char drain[64];
        while (read(mlo::wake.ends[0], drain, sizeof(drain)) > 0) {
        }
        bits |= 2;
    }
    return bits;
}

int32_t mlo_read(int32_t socket, uint8_t * buffer, int32_t capacity) {
    const ssize_t n = recv(socket, buffer, capacity, MSG_DONTWAIT);
    if (n >= 0) {
        return (int32_t) n;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -errno;
}

int32_t mlo_write(int32_t socket, uint8_t * bytes, int32_t length) {
#ifdef MSG_NOSIGNAL
    const int flags = MSG_NOSIGNAL;
#else
    const int flags = 0;
#endif
    int32_t sent = 0;
    while (sent < length) {
        const ssize_t n = send(socket, bytes + sent, length - sent, flags);
        if (n > 0) {
            sent += (int32_t) n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            pollfd fd = {socket, POLLOUT, 0};
            poll(&fd, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}
