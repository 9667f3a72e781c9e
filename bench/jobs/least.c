/* least.c - the least that a job server can do, in C: what load.c finds with
 * it is a bound for any server (own code).
 *
 *   least -p PORT
 *
 * One function, one priority, no unique ids, no checks, jobs in memory, and of
 * the packets only those that load.c sends. Like every server here it needs one
 * receive for what a connection sent and one send for what it gets.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { RES = 0x00524553, CAN_DO = 1, PRE_SLEEP = 4, NOOP = 6, SUBMIT_JOB = 7, JOB_CREATED = 8, GRAB_JOB = 9,
       NO_JOB = 10, JOB_ASSIGN = 11, WORK_COMPLETE = 13, SUBMIT_JOB_BG = 18, MOST = 4096, SIZE = 1 << 20 };

typedef struct { char *in, *out; size_t have, ready; int dirty, asleep; } Peer;
typedef struct Job { struct Job *next; int client; uint32_t namelen, size; char data[]; } Job;

static Peer peers[MOST];
static Job *first, **last = &first;
static int dirty[MOST], ndirty, sleepers[MOST], nsleepers;
static uint64_t counter;

static void add(int fd, const void *data, size_t size) {
    Peer *p = &peers[fd];
    if (p->ready + size > SIZE) { fprintf(stderr, "least: too much output\n"); exit(3); }
    memcpy(p->out + p->ready, data, size); p->ready += size;
    if (!p->dirty) { p->dirty = 1; dirty[ndirty++] = fd; }
}
static void head(int fd, uint32_t type, uint32_t size) {
    uint32_t h[3] = { htonl(RES), htonl(type), htonl(size) }; add(fd, h, 12);
}
static void submit(int fd, const char *d, size_t size, int background) {
    size_t namelen = strlen(d) + 1, skip = namelen + strlen(d + namelen) + 1;
    Job *j = malloc(sizeof *j + size); char handle[40];
    int n = sprintf(handle, "H:least:%llu", (unsigned long long)++counter);
    j->next = NULL; j->client = background ? -1 : fd; j->namelen = namelen; j->size = size - skip;
    memcpy(j->data, d, namelen); memcpy(j->data + namelen, d + skip, j->size);
    *last = j; last = &j->next;
    head(fd, JOB_CREATED, n); add(fd, handle, n);
    if (nsleepers) { int w = sleepers[--nsleepers]; peers[w].asleep = 0; head(w, NOOP, 0); }
}
static void grab(int fd) {
    Job *j = first; char handle[40];
    if (!j) { head(fd, NO_JOB, 0); return; }
    first = j->next; if (!first) last = &first;
    int n = sprintf(handle, "H:least:%d", j->client) + 1;  /* enough to find the client again */
    head(fd, JOB_ASSIGN, n + j->namelen + j->size);
    add(fd, handle, n); add(fd, j->data, j->namelen + j->size); free(j);
}
static void complete(const char *d, size_t size) {
    int client = atoi(d + 8);
    if (client >= 0) { head(client, WORK_COMPLETE, size); add(client, d, size); }
}
static void packet(int fd, uint32_t type, const char *d, size_t size) {
    if (type == SUBMIT_JOB || type == SUBMIT_JOB_BG) submit(fd, d, size, type == SUBMIT_JOB_BG);
    else if (type == GRAB_JOB) grab(fd);
    else if (type == WORK_COMPLETE) complete(d, size);
    else if (type == PRE_SLEEP) {
        if (first) head(fd, NOOP, 0);
        else if (!peers[fd].asleep) { peers[fd].asleep = 1; sleepers[nsleepers++] = fd; }
    }
}
static int receive(int fd) {
    Peer *p = &peers[fd]; size_t at = 0;
    ssize_t n = recv(fd, p->in + p->have, SIZE - p->have, MSG_DONTWAIT);
    if (n <= 0) return 0;
    p->have += n;
    while (p->have - at >= 12) {
        uint32_t h[3]; memcpy(h, p->in + at, 12); size_t size = ntohl(h[2]);
        if (p->have - at < 12 + size) break;
        char *d = p->in + at + 12, kept = d[size];
        d[size] = 0; packet(fd, ntohl(h[1]), d, size); d[size] = kept; at += 12 + size;
    }
    memmove(p->in, p->in + at, p->have -= at);
    return 1;
}
static void leave(int fd) {
    Peer *p = &peers[fd];
    for (int i = 0; i < nsleepers; i++) if (sleepers[i] == fd) { sleepers[i] = sleepers[--nsleepers]; break; }
    p->have = p->ready = 0; p->asleep = 0; close(fd);
}

int main(int argc, char **argv) {
    int port = argc == 3 ? atoi(argv[2]) : 4730, one = 1, door = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (void *)&a, sizeof a) || listen(door, 1000)) { perror("least"); return 1; }
    struct epoll_event e = { .events = EPOLLIN, .data.fd = door }, ready[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, door, &e);
    for (;;) {
        int n = epoll_wait(ep, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd != door) { if (!receive(fd)) leave(fd); continue; }
            fd = accept(door, NULL, NULL);
            if (fd < 0 || fd >= MOST) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (!peers[fd].in) { peers[fd].in = malloc(SIZE + 1); peers[fd].out = malloc(SIZE); }
            e.events = EPOLLIN; e.data.fd = fd; epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
        }
        for (int i = 0; i < ndirty; i++) {
            Peer *p = &peers[dirty[i]]; size_t sent = 0;
            while (sent < p->ready) { ssize_t k = send(dirty[i], p->out + sent, p->ready - sent, MSG_NOSIGNAL); if (k <= 0) break; sent += k; }
            p->ready = 0; p->dirty = 0;
        }
        ndirty = 0;
    }
}
