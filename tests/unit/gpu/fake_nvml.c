/* A stand-in for libnvidia-ml.so.1, as far as gpu_facts calls it.
 *
 * It reads the file named by $FAKE_NVML at every call: lines "key=value".
 *   driver=580.95.05  cuda=13000  count=2
 *   0.uuid= 0.name= 0.pci=0000:18:00  0.total= 0.reserved= 0.free=   (bytes)
 *   0.cc=9.0  0.mig=0  0.ecc=1  0.display=0  0.nvlinks=18  0.compute=4242:1000,4243:2000  0.graphics=
 *   topology.0.1=20   p2p.0.1=0   nvlink.0.1=0                       (NVML's own numbers)
 *   error.nvmlInit=18                                                a fault of one function
 *   0.error.nvmlDeviceGetUUID=15                                     ... on one card
 * A key that is absent answers NVML_ERROR_NOT_SUPPORTED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, VERSION_MISMATCH = 25, UNKNOWN = 999 };

typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int pid; unsigned long long memory; unsigned int gpu_instance, compute_instance; } process;
typedef struct {
    char legacy[16];
    unsigned int domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_info;

static int lookup(const char *key, char *value, size_t size)
{
    char line[1024];
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + length + 1);
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

/* key of a card; device 0 means no card (NVML's handles are opaque pointers: ours are index + 1) */
static int card(void *device, const char *name, char *value, size_t size)
{
    char key[256];
    if (!device) return lookup(name, value, size);
    snprintf(key, sizeof key, "%ld.%s", (long)device - 1, name);
    return lookup(key, value, size);
}

static int fault(void *device, const char *function)
{
    char key[256], value[64];
    snprintf(key, sizeof key, "error.%s", function);
    if (lookup(key, value, sizeof value) || (device && card(device, key, value, sizeof value))) return atoi(value);
    return OK;
}

static int text(void *device, const char *function, const char *name, char *out, unsigned int size)
{
    char value[512];
    int code = fault(device, function);
    if (code) return code;
    if (!card(device, name, value, sizeof value)) return NOT_SUPPORTED;
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, value);
    return OK;
}

static int number(void *device, const char *function, const char *name, long long *out)
{
    char value[64];
    int code = text(device, function, name, value, sizeof value);
    if (code == OK) *out = atoll(value);
    return code;
}

static int pair(void *a, void *b, const char *function, const char *name, unsigned int *out)
{
    char key[64];
    long long value = 0;
    long first = (long)a - 1, second = (long)b - 1;
    int code = fault(a, function);
    if (code) return code;
    snprintf(key, sizeof key, "%s.%ld.%ld", name, first < second ? first : second, first < second ? second : first);
    code = number(NULL, function, key, &value);
    if (code == OK) *out = (unsigned int)value;
    return code;
}

const char *nvmlErrorString(int code)
{
    static char words[64];
    snprintf(words, sizeof words, "stand-in error %d", code);
    return words;
}

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return fault(NULL, "nvmlInit"); }
int nvmlInit_v2(void) { return fault(NULL, "nvmlInit"); }
int nvmlShutdown(void) { return OK; }

int nvmlSystemGetDriverVersion(char *out, unsigned int size)
{
    return text(NULL, "nvmlSystemGetDriverVersion", "driver", out, size);
}

int nvmlSystemGetCudaDriverVersion(int *out)
{
    long long value = 0;
    int code = number(NULL, "nvmlSystemGetCudaDriverVersion", "cuda", &value);
    *out = (int)value;
    return code;
}

int nvmlDeviceGetCount_v2(unsigned int *out)
{
    long long value = 0;
    int code = number(NULL, "nvmlDeviceGetCount", "count", &value);
    *out = (unsigned int)value;
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{
    *device = (void *)((long)index + 1);
    return fault(*device, "nvmlDeviceGetHandleByIndex");
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned int size)
{
    return text(device, "nvmlDeviceGetUUID", "uuid", out, size);
}

int nvmlDeviceGetName(void *device, char *out, unsigned int size)
{
    return text(device, "nvmlDeviceGetName", "name", out, size);
}

int nvmlDeviceGetPciInfo_v3(void *device, pci_info *out)
{
    char value[32];
    int code = text(device, "nvmlDeviceGetPciInfo", "pci", value, sizeof value);
    if (code) return code;
    memset(out, 0, sizeof *out);
    if (sscanf(value, "%x:%x:%x", &out->domain, &out->bus, &out->device) != 3) return UNKNOWN;
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", out->domain, out->bus, out->device);
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *out)
{
    long long total = 0, reserved = 0, available = 0;
    int code = number(device, "nvmlDeviceGetMemoryInfo_v2", "total", &total);
    if (code) return code;
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    if ((code = number(device, "nvmlDeviceGetMemoryInfo_v2", "reserved", &reserved))) return code;
    if ((code = number(device, "nvmlDeviceGetMemoryInfo_v2", "free", &available))) return code;
    out->total = total;
    out->reserved = reserved;
    out->free = available;
    out->used = total - reserved - available;
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *device, memory_v1 *out)
{
    long long total = 0, available = 0;
    int code = number(device, "nvmlDeviceGetMemoryInfo", "total", &total);
    if (code) return code;
    if ((code = number(device, "nvmlDeviceGetMemoryInfo", "free", &available))) return code;
    out->total = total;
    out->free = available;
    out->used = total - available;
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    char value[32];
    int code = text(device, "nvmlDeviceGetCudaComputeCapability", "cc", value, sizeof value);
    if (code) return code;
    return sscanf(value, "%d.%d", major, minor) == 2 ? OK : UNKNOWN;
}

static int mode(void *device, const char *function, const char *name, unsigned int *current, unsigned int *pending)
{
    long long value = 0;
    int code = number(device, function, name, &value);
    *current = (unsigned int)value;
    if (pending) *pending = *current;
    return code;
}

int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending)
{
    return mode(device, "nvmlDeviceGetMigMode", "mig", current, pending);
}

int nvmlDeviceGetEccMode(void *device, unsigned int *current, unsigned int *pending)
{
    return mode(device, "nvmlDeviceGetEccMode", "ecc", current, pending);
}

int nvmlDeviceGetDisplayActive(void *device, unsigned int *current)
{
    return mode(device, "nvmlDeviceGetDisplayActive", "display", current, NULL);
}

int nvmlDeviceGetNvLinkState(void *device, unsigned int link, unsigned int *active)
{
    long long count = 0;
    int code = number(device, "nvmlDeviceGetNvLinkState", "nvlinks", &count);
    if (code) return code;
    if (link >= 18) return INVALID_ARGUMENT;
    *active = link < (unsigned int)count;
    return OK;
}

int nvmlDeviceGetTopologyCommonAncestor(void *a, void *b, unsigned int *out)
{
    return pair(a, b, "nvmlDeviceGetTopologyCommonAncestor", "topology", out);
}

int nvmlDeviceGetP2PStatus(void *a, void *b, unsigned int capability, unsigned int *out)
{
    return pair(a, b, "nvmlDeviceGetP2PStatus", capability == 2 ? "nvlink" : "p2p", out);
}

static int processes(void *device, const char *function, const char *name, unsigned int *count, process *out)
{
    char value[512], *rest = value, *word;
    process found[16];
    unsigned int n = 0;
    int code = text(device, function, name, value, sizeof value);
    if (code) return code;
    while ((word = strsep(&rest, ",")) && n < 16) {
        memset(&found[n], 0, sizeof *found);
        found[n].memory = ~0ull; /* no number: the driver cannot tell */
        if (sscanf(word, "%u:%llu", &found[n].pid, &found[n].memory) >= 1) n++;
    }
    if (n > *count) {
        *count = n;
        return INSUFFICIENT_SIZE;
    }
    if (n) memcpy(out, found, n * sizeof *out);
    *count = n;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process *out)
{
    return processes(device, "nvmlDeviceGetComputeRunningProcesses", "compute", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned int *count, process *out)
{
    return processes(device, "nvmlDeviceGetGraphicsRunningProcesses", "graphics", count, out);
}
