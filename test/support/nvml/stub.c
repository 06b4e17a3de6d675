// A stand-in for NVIDIA's management library: what it says is read from the file STATE_FILE, anew at each call, so that a
// test can change it while a server runs. The file has lines `key value`; `key !n` is the error n.
// Keys: init count driver cuda hang crash, and of each device `I.name I.uuid I.total I.used I.compute I.memory I.celsius
// I.power I.limit I.core I.mem I.throttle I.gen I.width I.major I.minor I.cores I.handle I.procs I.gprocs I.mig I.slices`;
// a slice's are `I.S.name` and so on. Compiled with -DWITHOUT_MOST it lacks nearly all calls, as a very old driver does.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { char prefix[16]; } device_t;
static device_t devices[64];
static device_t slices[64][16];

static int look(const char * prefix, const char * name, char * value, size_t size) {
    char key[64], line[512];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    FILE * file = fopen(STATE_FILE, "r");
    int result = 3;
    if (file == NULL) return 999;
    while (fgets(line, sizeof line, file) != NULL) {
        char * space = strchr(line, ' ');
        if (space == NULL) continue;
        *space = '\0';
        if (strcmp(line, key) != 0) continue;
        char * text = space + 1;
        text[strcspn(text, "\n")] = '\0';
        if (text[0] == '!') result = atoi(text + 1);
        else { snprintf(value, size, "%s", text); result = 0; }
    }
    fclose(file);
    return result;
}

static int number(const char * prefix, const char * name, unsigned long long * value) {
    char text[128];
    int code = look(prefix, name, text, sizeof text);
    if (code == 0) *value = strtoull(text, NULL, 10);
    return code;
}

static int small(const char * prefix, const char * name, unsigned * value) {
    unsigned long long wide = 0;
    int code = number(prefix, name, &wide);
    if (code == 0) *value = (unsigned)wide;
    return code;
}

static int text(const char * prefix, const char * name, char * value, unsigned size) {
    char found[512];
    int code = look(prefix, name, found, sizeof found);
    // Without an end where it is too long, as a careless driver would do.
    if (code == 0) memcpy(value, found, strlen(found) + 1 < size ? strlen(found) + 1 : size);
    return code;
}

int nvmlInit_v2(void) {
    unsigned long long hang = 0, crash = 0;
    if (number("", "crash", &crash) == 0 && crash != 0) __builtin_trap();
    // Until the test lets go of it.
    while (number("", "hang", &hang) == 0 && hang != 0) usleep(5000);
    unsigned long long value = 0;
    int code = number("", "init", &value);
    return code == 3 ? 0 : code;
}
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned * count) {
    unsigned long long hang = 0;
    while (number("", "hang", &hang) == 0 && hang != 0) usleep(5000);
    return small("", "count", count);
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t ** device) {
    unsigned long long value = 0;
    if (index >= 64) return 2;
    snprintf(devices[index].prefix, sizeof devices[index].prefix, "%u.", index);
    *device = &devices[index];
    int code = number(devices[index].prefix, "handle", &value);
    return code == 3 ? 0 : code;
}
#ifndef WITHOUT_MOST
int nvmlSystemGetDriverVersion(char * value, unsigned size) { return text("", "driver", value, size); }
int nvmlSystemGetCudaDriverVersion_v2(int * value) { return small("", "cuda", (unsigned *)value); }
int nvmlDeviceGetName(device_t * d, char * value, unsigned size) { return text(d->prefix, "name", value, size); }
int nvmlDeviceGetUUID(device_t * d, char * value, unsigned size) { return text(d->prefix, "uuid", value, size); }
int nvmlDeviceGetMemoryInfo(device_t * d, unsigned long long * memory) {
    unsigned long long total = 0, used = 0;
    int code = number(d->prefix, "total", &total);
    if (code == 0) code = number(d->prefix, "used", &used);
    memory[0] = total;
    memory[1] = total - used;
    memory[2] = used;
    return code;
}
int nvmlDeviceGetUtilizationRates(device_t * d, unsigned * shares) {
    int code = small(d->prefix, "compute", &shares[0]);
    return code == 0 ? small(d->prefix, "memory", &shares[1]) : code;
}
int nvmlDeviceGetTemperature(device_t * d, int sensor, unsigned * value) { (void)sensor; return small(d->prefix, "celsius", value); }
int nvmlDeviceGetPowerUsage(device_t * d, unsigned * value) { return small(d->prefix, "power", value); }
int nvmlDeviceGetEnforcedPowerLimit(device_t * d, unsigned * value) { return small(d->prefix, "limit", value); }
int nvmlDeviceGetClockInfo(device_t * d, int kind, unsigned * value) { return small(d->prefix, kind == 2 ? "mem" : "core", value); }
int nvmlDeviceGetCurrentClocksThrottleReasons(device_t * d, unsigned long long * value) { return number(d->prefix, "throttle", value); }
int nvmlDeviceGetCurrPcieLinkGeneration(device_t * d, unsigned * value) { return small(d->prefix, "gen", value); }
int nvmlDeviceGetCurrPcieLinkWidth(device_t * d, unsigned * value) { return small(d->prefix, "width", value); }
int nvmlDeviceGetCudaComputeCapability(device_t * d, int * major, int * minor) {
    int code = small(d->prefix, "major", (unsigned *)major);
    return code == 0 ? small(d->prefix, "minor", (unsigned *)minor) : code;
}
int nvmlDeviceGetNumGpuCores(device_t * d, unsigned * value) { return small(d->prefix, "cores", value); }
int nvmlDeviceGetMigMode(device_t * d, unsigned * mode, unsigned * pending) { *pending = 0; return small(d->prefix, "mig", mode); }
int nvmlDeviceGetMaxMigDeviceCount(device_t * d, unsigned * count) { return small(d->prefix, "slices", count); }
int nvmlDeviceGetMigDeviceHandleByIndex(device_t * d, unsigned index, device_t ** slice) {
    char name[64];
    unsigned parent = (unsigned)atoi(d->prefix);
    if (parent >= 64 || index >= 16) return 2;
    device_t * found = &slices[parent][index];
    snprintf(found->prefix, sizeof found->prefix, "%u.%u.", parent, index);
    *slice = found;
    return look(found->prefix, "name", name, sizeof name) == 0 ? 0 : 6;
}

typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } process_t;

// `pid:bytes,pid:bytes`; a line `procs-count` says a count that is not true.
static int processes(device_t * d, const char * name, unsigned * count, process_t * list) {
    char found[512], lie[64];
    unsigned long long claimed = 0;
    unsigned room = *count, at = 0;
    int code = look(d->prefix, name, found, sizeof found);
    if (code == 3) { *count = 0; return 0; }
    if (code != 0) return code;
    for (char * part = strtok(found, ","); part != NULL; part = strtok(NULL, ",")) {
        if (at < room) {
            list[at].pid = (unsigned)strtoul(part, &part, 10);
            list[at].used = strtoull(part + 1, NULL, 10);
        }
        at++;
    }
    *count = at;
    snprintf(lie, sizeof lie, "%s-count", name);
    if (number(d->prefix, lie, &claimed) == 0) *count = (unsigned)claimed;
    return at > room ? 7 : 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(device_t * d, unsigned * count, process_t * list) { return processes(d, "procs", count, list); }
int nvmlDeviceGetGraphicsRunningProcesses_v2(device_t * d, unsigned * count, process_t * list) { return processes(d, "gprocs", count, list); }
#endif
