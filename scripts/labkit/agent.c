/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs commands in dom0 for scripts/lab: one TCP connection, one command.
 *
 * Both directions carry frames: a type byte, a big-endian 32-bit length, that many bytes.
 * The client sends T (token), A (one argument, repeated), P (rows and columns as 2 x 16 bits: use a
 * terminal), X (start), then I (input), C (end of input), W (new rows and columns).
 * The agent sends H (hello) when the request is accepted, O (output), R (error output) and at the
 * end S (status, 32 bits).  A client that goes away takes its command with it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        PORT = 7700,
        CHUNK = 65536,
        MAX_ARGS = 4096
};

struct request {
        char *argv[MAX_ARGS + 1];
        int argc;
        bool terminal;
        struct winsize size;
};

struct command {
        pid_t pid;
        int in, out, err;
        /* Input that the command has not read yet; no more is taken from the client meanwhile. */
        char *pending;
        size_t pending_size, pending_done;
};

static bool write_all(int fd, const void *data, size_t size)
{
        const char *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN) {
                        struct pollfd ready = { .fd = fd, .events = POLLOUT };
                        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
                                return false;
                        continue;
                }
                if (n < 0)
                        return false;
                p += n;
                size -= n;
        }
        return true;
}

static bool read_all(int fd, void *data, size_t size)
{
        char *p = data;

        while (size > 0) {
                ssize_t n = read(fd, p, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                p += n;
                size -= n;
        }
        return true;
}

static bool send_frame(int fd, char type, const void *data, uint32_t size)
{
        static char frame[5 + CHUNK];
        uint32_t length = htonl(size);

        frame[0] = type;
        memcpy(frame + 1, &length, 4);
        memcpy(frame + 5, data, size);
        return write_all(fd, frame, 5 + size);
}

/* Returns the frame's type, or 0 at the end; *data is a string of *size bytes that the caller
 * frees. */
static char read_frame(int fd, char **data, uint32_t *size)
{
        char header[5];

        if (!read_all(fd, header, sizeof header))
                return 0;
        memcpy(size, header + 1, 4);
        *size = ntohl(*size);
        *data = *size <= 1 << 24 ? malloc(*size + 1) : NULL;
        if (*data == NULL || !read_all(fd, *data, *size)) {
                free(*data);
                return 0;
        }
        (*data)[*size] = '\0';
        return header[0];
}

static struct winsize window(const char *data, uint32_t size)
{
        uint16_t values[2] = { 0, 0 };

        if (size == sizeof values)
                memcpy(values, data, sizeof values);
        return (struct winsize){ .ws_row = ntohs(values[0]), .ws_col = ntohs(values[1]) };
}

/* The secret is on the kernel's command line, so that nobody else on the lab's machine gets in. */
static bool token_is_right(const char *token)
{
        static char line[8192];
        int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
        char *found;

        if (fd >= 0)
                close(fd);
        if (n < 0)
                return false;
        line[n] = '\0';
        found = strstr(line, "lab.token=");
        if (found == NULL)
                return false;
        found = strtok(found + strlen("lab.token="), " \n");
        return found != NULL && strcmp(found, token) == 0;
}

static bool read_request(int fd, struct request *request)
{
        bool allowed = false;
        uint32_t size;
        char *data;

        for (;;) {
                switch (read_frame(fd, &data, &size)) {
                case 'T':
                        allowed = token_is_right(data);
                        break;
                case 'A':
                        if (!allowed || request->argc == MAX_ARGS)
                                return false;
                        request->argv[request->argc++] = data;
                        continue;
                case 'P':
                        request->terminal = true;
                        request->size = window(data, size);
                        break;
                case 'X':
                        free(data);
                        return allowed && request->argc > 0;
                default:
                        return false;
                }
                free(data);
        }
}

static void execute(char **argv)
{
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        execvp(argv[0], argv);
        dprintf(STDERR_FILENO, "lab: %s: %s\n", argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
}

static bool start(struct request *request, struct command *command)
{
        int in[2], out[2], err[2];

        if (request->terminal) {
                command->pid = forkpty(&command->in, NULL, NULL, &request->size);
                if (command->pid == 0)
                        execute(request->argv);
                command->out = command->in;
                command->err = -1;
                fcntl(command->in, F_SETFL, O_NONBLOCK);
                return command->pid > 0;
        }
        if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
                return false;
        command->pid = fork();
        if (command->pid == 0) {
                setsid();
                dup2(in[0], STDIN_FILENO);
                dup2(out[1], STDOUT_FILENO);
                dup2(err[1], STDERR_FILENO);
                execute(request->argv);
        }
        close(in[0]);
        close(out[1]);
        close(err[1]);
        command->in = in[1];
        fcntl(command->in, F_SETFL, O_NONBLOCK);
        command->out = out[0];
        command->err = err[0];
        return command->pid > 0;
}

/* Passes on what is there; closes the descriptor at its end.  False if the client is gone. */
static bool forward(int *fd, int client, char type)
{
        static char data[CHUNK];
        ssize_t n = read(*fd, data, sizeof data);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n > 0)
                return send_frame(client, type, data, n);
        *fd = -1;
        return true;
}

static void feed(struct command *command)
{
        ssize_t n = write(command->in, command->pending + command->pending_done,
                          command->pending_size - command->pending_done);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
                command->pending_done = command->pending_size;
        if (n > 0)
                command->pending_done += n;
        if (command->pending_done == command->pending_size) {
                free(command->pending);
                command->pending = NULL;
        }
}

/* Handles one frame of the running command's client.  False if the client is gone. */
static bool handle_input(int client, struct command *command)
{
        struct winsize size;
        uint32_t length;
        char *data;
        char type = read_frame(client, &data, &length);

        if (type == 0)
                return false;
        if (type == 'I' && command->in >= 0 && length > 0) {
                command->pending = data;
                command->pending_size = length;
                command->pending_done = 0;
                return true;
        }
        if (type == 'C' && command->in >= 0) {
                close(command->in);
                command->in = -1;
        }
        if (type == 'W' && command->out >= 0) {
                size = window(data, length);
                ioctl(command->out, TIOCSWINSZ, &size);
        }
        free(data);
        return true;
}

/* What a command left in its pipes is sent; what its background children write later is not. */
static void drain(int client, struct command *command)
{
        struct pollfd fds[2];

        for (;;) {
                fds[0] = (struct pollfd){ .fd = command->out, .events = POLLIN };
                fds[1] = (struct pollfd){ .fd = command->err, .events = POLLIN };
                if (poll(fds, 2, 0) <= 0)
                        return;
                if (fds[0].revents && !forward(&command->out, client, 'O'))
                        return;
                if (fds[1].revents && !forward(&command->err, client, 'R'))
                        return;
        }
}

static void kill_session(pid_t pid)
{
        kill(-pid, SIGHUP);
        kill(-pid, SIGTERM);
        for (int i = 0; i < 20 && waitpid(pid, NULL, WNOHANG) == 0; i++)
                usleep(100000);
        kill(-pid, SIGKILL);
}

static void relay(int client, struct command *command, int child_ended)
{
        int status;
        uint32_t code;

        for (;;) {
                struct pollfd fds[] = {
                        { .fd = client,
                          .events = command->pending ? POLLRDHUP : POLLIN | POLLRDHUP },
                        { .fd = child_ended, .events = POLLIN },
                        { .fd = command->out, .events = POLLIN },
                        { .fd = command->err, .events = POLLIN },
                        { .fd = command->pending ? command->in : -1, .events = POLLOUT },
                };
                if (poll(fds, 5, -1) < 0 && errno != EINTR)
                        return;
                if (fds[4].revents)
                        feed(command);
                if ((fds[2].revents && !forward(&command->out, client, 'O')) ||
                    (fds[3].revents && !forward(&command->err, client, 'R')) ||
                    (fds[0].revents & POLLRDHUP) ||
                    (fds[0].revents && !command->pending && !handle_input(client, command))) {
                        kill_session(command->pid);
                        return;
                }
                if (fds[1].revents && waitpid(command->pid, &status, WNOHANG) == command->pid)
                        break;
        }
        drain(client, command);
        code = htonl(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        send_frame(client, 'S', &code, sizeof code);
}

static void serve(int client)
{
        static struct request request;
        static struct command command;
        sigset_t child;
        int child_ended;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        signal(SIGCHLD, SIG_DFL);
        sigprocmask(SIG_BLOCK, &child, NULL);
        child_ended = signalfd(-1, &child, SFD_CLOEXEC);
        if (!read_request(client, &request) || child_ended < 0)
                return;
        if (send_frame(client, 'H', "", 0) && start(&request, &command))
                relay(client, &command, child_ended);
}

static void say_ready(void)
{
        int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);

        if (console >= 0) {
                dprintf(console, "\r\nlab-agent: listening\r\n");
                close(console);
        }
}

int main(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int one = 1;

        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) {
                perror("lab-agent");
                return 1;
        }
        signal(SIGCHLD, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        say_ready();
        for (;;) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (client < 0)
                        continue;
                if (fork() == 0) {
                        serve(client);
                        _exit(0);
                }
                close(client);
        }
}
