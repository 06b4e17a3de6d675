// A stand-in for Apple's IOKit, as far as native/probe/probe-macos.mm uses it. See Foundation/Foundation.h.

#pragma once

#import <Foundation/Foundation.h>
#include <mach/mach.h>

typedef mach_port_t io_object_t;
typedef io_object_t io_service_t;
typedef io_object_t io_registry_entry_t;
typedef uint32_t IOOptionBits;
typedef char io_name_t[128];

#define IO_OBJECT_NULL ((io_object_t) 0)
#define kIOServicePlane "IOService"
enum { kIORegistryIterateRecursively = 0x1, kIORegistryIterateParents = 0x2 };

extern "C" {
kern_return_t IOObjectRelease(io_object_t object);
CFMutableDictionaryRef IOServiceMatching(const char * name);
CFMutableDictionaryRef IOServiceNameMatching(const char * name);
CFMutableDictionaryRef IORegistryEntryIDMatching(uint64_t id);
io_service_t IOServiceGetMatchingService(mach_port_t port, CFDictionaryRef matching);
CFTypeRef IORegistryEntrySearchCFProperty(io_registry_entry_t entry, const io_name_t plane, CFStringRef key,
                                          CFAllocatorRef allocator, IOOptionBits options);
}
