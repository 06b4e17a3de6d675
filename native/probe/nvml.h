// NVIDIA's management library as far as we call it: its public binary interface, declared anew, so that neither its header
// nor the library is needed to build. Every call is looked up by name and may be absent: drivers differ by ten years.

#pragma once

#include <cstdint>

namespace nvml {

using Result = int;
using Device = struct OpaqueDevice *;

constexpr Result SUCCESS = 0;
constexpr Result UNINITIALIZED = 1;
constexpr Result INSUFFICIENT_SIZE = 7;
constexpr Result DRIVER_NOT_LOADED = 9;
constexpr Result GPU_IS_LOST = 15;
constexpr Result RESET_REQUIRED = 16;
constexpr Result VERSION_MISMATCH = 18;
constexpr Result UNKNOWN = 999;

constexpr unsigned TEXT_MAX = 96;

struct Memory {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
};

struct Utilization {
    unsigned gpu;
    unsigned memory;
};

// Of the first version of the call, and of all later ones.
struct ProcessV1 {
    unsigned pid;
    unsigned long long used;
};
struct Process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance;
    unsigned compute_instance;
};

constexpr int SENSOR_GPU = 0;
constexpr int CLOCK_CORE = 0;
constexpr int CLOCK_MEMORY = 2;

// Loaded and looked up once; null members are absent.
struct Calls {
    Result (*init)();
    Result (*shutdown)();
    Result (*driver_version)(char *, unsigned);
    Result (*cuda_version)(int *);
    Result (*count)(unsigned *);
    Result (*handle)(unsigned, Device *);
    Result (*name)(Device, char *, unsigned);
    Result (*uuid)(Device, char *, unsigned);
    Result (*memory)(Device, Memory *);
    Result (*utilization)(Device, Utilization *);
    Result (*temperature)(Device, int, unsigned *);
    Result (*power)(Device, unsigned *);
    Result (*power_limit)(Device, unsigned *);
    Result (*power_limit_old)(Device, unsigned *);
    Result (*clock)(Device, int, unsigned *);
    Result (*throttle)(Device, unsigned long long *);
    Result (*pcie_generation)(Device, unsigned *);
    Result (*pcie_width)(Device, unsigned *);
    Result (*capability)(Device, int *, int *);
    Result (*cores)(Device, unsigned *);
    Result (*mig_mode)(Device, unsigned *, unsigned *);
    Result (*mig_count)(Device, unsigned *);
    Result (*mig_handle)(Device, unsigned, Device *);
    Result (*compute_processes)(Device, unsigned *, Process *);
    Result (*graphics_processes)(Device, unsigned *, Process *);
    Result (*compute_processes_v1)(Device, unsigned *, ProcessV1 *);
    Result (*graphics_processes_v1)(Device, unsigned *, ProcessV1 *);
};

} // namespace nvml
