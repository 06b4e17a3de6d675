// Readings of a Mac: sysctl for the processor and memory, Metal and IOKit for GPUs, the Neural Engine and power. Was never
// run: it is compiled by tests against stand-ins of Apple's headers (test/native/macos), and its readings are judged in
// src/hardware/macos.ts.

#import <Foundation/Foundation.h>
#import <IOKit/IOKitLib.h>
#import <IOKit/ps/IOPowerSources.h>
#import <Metal/Metal.h>

#include <cerrno>
#include <cstring>
#include <mach/mach.h>
#include <sys/sysctl.h>

#include "readings.h"

namespace {

const char * const NUMBERS[] = {
    "hw.memsize",
    "hw.physicalcpu",
    "hw.logicalcpu",
    "hw.nperflevels",
    "hw.perflevel0.physicalcpu",
    "hw.perflevel1.physicalcpu",
    "kern.memorystatus_vm_pressure_level",
    "hw.optional.neon",
    "hw.optional.arm.FEAT_DotProd",
    "hw.optional.arm.FEAT_I8MM",
    "hw.optional.arm.FEAT_BF16",
    "hw.optional.arm.FEAT_SME",
    "hw.optional.avx2_0",
    "hw.optional.fma",
    "hw.optional.avx512f",
};

const char * const TEXTS[] = {"machdep.cpu.brand_string", "hw.model"};

std::string read_number(const char * name) {
    char bytes[sizeof(uint64_t)] = {};
    size_t size = sizeof bytes;
    if (sysctlbyname(name, bytes, &size, nullptr, 0) != 0) return probe::error_of(errno);
    if (size == sizeof(int32_t)) {
        int32_t narrow = 0;
        std::memcpy(&narrow, bytes, sizeof narrow);
        return std::to_string(narrow);
    }
    if (size != sizeof(uint64_t)) return probe::missing();
    uint64_t wide = 0;
    std::memcpy(&wide, bytes, sizeof wide);
    return std::to_string(wide);
}

std::string read_text(const char * name) {
    char text[256] = {};
    // One byte is kept for the end.
    size_t size = sizeof text - 1;
    if (sysctlbyname(name, text, &size, nullptr, 0) != 0) return probe::error_of(errno);
    return probe::text_of(text);
}

std::string read_sysctls() {
    probe::Object all;
    for (const char * name : NUMBERS) all.add(name, read_number(name));
    for (const char * name : TEXTS) all.add(name, read_text(name));
    return all.done();
}

std::string read_pages() {
    vm_statistics64_data_t pages;
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    vm_size_t page_bytes = 0;
    const mach_port_t host = mach_host_self();
    const kern_return_t told = host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &count);
    const kern_return_t sized = host_page_size(host, &page_bytes);
    mach_port_deallocate(mach_task_self(), host);
    if (told != KERN_SUCCESS || sized != KERN_SUCCESS) return probe::error_of(told != KERN_SUCCESS ? told : sized);
    return probe::Object()
        .add("pageBytes", uint64_t{page_bytes})
        .add("free", uint64_t{pages.free_count})
        .add("external", uint64_t{pages.external_page_count})
        .add("purgeable", uint64_t{pages.purgeable_count})
        .done();
}

std::string read_swap() {
    xsw_usage swap{};
    size_t size = sizeof swap;
    if (sysctlbyname("vm.swapusage", &swap, &size, nullptr, 0) != 0) return probe::error_of(errno);
    return probe::Object()
        .add("totalBytes", uint64_t{swap.xsu_total})
        .add("freeBytes", uint64_t{swap.xsu_avail})
        .done();
}

std::string number_of(id value) {
    if (![value isKindOfClass:[NSNumber class]]) return probe::missing();
    return std::to_string([(NSNumber *) value unsignedLongLongValue]);
}

// A property of a device's driver, or of one that it stands on.
id find_property(io_service_t service, CFStringRef name) {
    const IOOptionBits everywhere = kIORegistryIterateRecursively | kIORegistryIterateParents;
    return CFBridgingRelease(
        IORegistryEntrySearchCFProperty(service, kIOServicePlane, name, kCFAllocatorDefault, everywhere));
}

std::string read_gpu(id<MTLDevice> device) {
    probe::Object gpu;
    gpu.add("name", probe::text_of([[device name] UTF8String]));
    gpu.add("unified", [device hasUnifiedMemory] ? "true" : "false");
    gpu.add("recommendedWorkingSetBytes", uint64_t{[device recommendedMaxWorkingSetSize]});
    // Takes the description's reference, also where it finds nothing.
    const io_service_t service = IOServiceGetMatchingService(MACH_PORT_NULL, IORegistryEntryIDMatching([device registryID]));
    if (service == IO_OBJECT_NULL) return gpu.done();
    gpu.add("cores", number_of(find_property(service, CFSTR("gpu-core-count"))));
    id statistics = find_property(service, CFSTR("PerformanceStatistics"));
    if ([statistics isKindOfClass:[NSDictionary class]]) {
        gpu.add("utilizationPercent", number_of([statistics objectForKey:@"Device Utilization %"]));
        gpu.add("usedBytes", number_of([statistics objectForKey:@"In use system memory"]));
    }
    IOObjectRelease(service);
    return gpu.done();
}

std::string read_gpus() {
    probe::List gpus;
    for (id<MTLDevice> device in MTLCopyAllDevices()) gpus.add(read_gpu(device));
    return gpus.done();
}

[[maybe_unused]] bool is_there(CFDictionaryRef matching) {
    const io_service_t service = IOServiceGetMatchingService(MACH_PORT_NULL, matching);
    if (service == IO_OBJECT_NULL) return false;
    IOObjectRelease(service);
    return true;
}

// Its driver's name changes with the generation: not to find it says nothing on a processor that may have one.
std::string read_neural_engine() {
#if defined(__aarch64__)
    for (const char * kind : {"H11ANEIn", "H1xANELoadBalancer"}) {
        if (is_there(IOServiceMatching(kind))) return "true";
    }
    for (const char * name : {"ane", "ane0"}) {
        if (is_there(IOServiceNameMatching(name))) return "true";
    }
    return probe::missing();
#else
    return "false";
#endif
}

std::string read_power_source() {
    const CFTypeRef sources = IOPSCopyPowerSourcesInfo();
    if (sources == nullptr) return probe::missing();
    // Belongs to the list above.
    const CFStringRef kind = IOPSGetProvidingPowerSourceType(sources);
    const std::string text =
        kind == nullptr ? probe::missing() : probe::text_of([(__bridge NSString *) kind UTF8String]);
    CFRelease(sources);
    return text;
}

} // namespace

std::string probe::read_all(const std::vector<std::string> &) {
    @autoreleasepool {
        return Object()
            .add("platform", "\"darwin\"")
            .add("sysctl", read_sysctls())
            .add("vm", read_pages())
            .add("swap", read_swap())
            .add("gpus", read_gpus())
            .add("neuralEngine", read_neural_engine())
            .add("powerSource", read_power_source())
            .add("thermalState", uint64_t([[NSProcessInfo processInfo] thermalState]))
            .done();
    }
}
