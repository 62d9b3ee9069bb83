/* Full TLS handshakes, with no resumption offered, and one GET per connection, in a closed loop on loopback.
 * usage: handshakes PORT HOST CONNECTIONS SECONDS      prints one line of JSON
 * build: cc -O2 handshakes.c -lssl -lcrypto */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 2000000 };
enum state { HANDSHAKE, ANSWER };
enum result { WAITING, DONE, FAILED };

struct connection {
    int fd;
    enum state state;
    SSL *tls;
    uint64_t began, shaken;
};

static int epoll, port, request_length;
static const char *host;
static char request[512];
static SSL_CTX *context;
static long ok, failed, resumed;
static uint32_t *samples;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll, operation, c->fd, &event);
}

static void begin(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Reset instead of TIME_WAIT: otherwise the ports run out. */
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    c->began = now();
    c->state = HANDSHAKE;
    (void)!connect(c->fd, (struct sockaddr *)&address, sizeof address);
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    SSL_set_tlsext_host_name(c->tls, host);
    SSL_set_connect_state(c->tls);
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static enum result shake(struct connection *c) {
    int result = SSL_do_handshake(c->tls);
    if (result == 1) {
        c->shaken = now();
        resumed += SSL_session_reused(c->tls);
        if (SSL_write(c->tls, request, request_length) <= 0)
            return FAILED;
        c->state = ANSWER;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        return WAITING;
    }
    int error = SSL_get_error(c->tls, result);
    if (error == SSL_ERROR_WANT_READ) {
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        return WAITING;
    }
    return error == SSL_ERROR_WANT_WRITE ? WAITING : FAILED;
}

static enum result read_answer(struct connection *c) {
    char buffer[16384];
    int length = SSL_read(c->tls, buffer, sizeof buffer);
    if (length >= 12)
        return buffer[9] == '2' ? DONE : FAILED; /* HTTP/1.1 2xx */
    if (length > 0)
        return FAILED;
    return SSL_get_error(c->tls, length) == SSL_ERROR_WANT_READ ? WAITING : FAILED;
}

static void end(struct connection *c, enum result result) {
    if (result == DONE) {
        if (ok < SAMPLES)
            samples[ok] = (uint32_t)((c->shaken - c->began) / 1000);
        ok++;
    } else {
        failed++;
    }
    SSL_free(c->tls);
    close(c->fd);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static SSL_CTX *client(void) {
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(made, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
    SSL_CTX_set1_groups_list(made, "X25519:P-256");
    SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
    return made;
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: handshakes PORT HOST CONNECTIONS SECONDS\n");
        return 2;
    }
    port = atoi(arguments[1]);
    host = arguments[2];
    int connections = atoi(arguments[3]);
    double seconds = atof(arguments[4]);
    request_length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host);
    context = client();
    epoll = epoll_create1(0);
    samples = malloc(sizeof *samples * SAMPLES);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    if (samples == NULL || all == NULL)
        return 1;

    uint64_t began = now(), until = began + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < connections; i++)
        begin(&all[i]);
    while (now() < until) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, 200);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            enum result result = c->state == HANDSHAKE ? shake(c) : read_answer(c);
            if (result != WAITING) {
                end(c, result);
                begin(c);
            }
        }
    }
    double elapsed = (double)(now() - began) / 1e9;

    long kept = ok < SAMPLES ? ok : SAMPLES;
    qsort(samples, (size_t)kept, sizeof *samples, ascending);
    unsigned p50 = kept ? samples[kept / 2] : 0, p99 = kept ? samples[(long)((double)kept * 0.99)] : 0;
    printf("{\"ok\": %ld, \"failed\": %ld, \"resumed\": %ld, \"per_second\": %.1f, \"p50_us\": %u, \"p99_us\": %u}\n",
           ok, failed, resumed, (double)ok / elapsed, p50, p99);
    return 0;
}
