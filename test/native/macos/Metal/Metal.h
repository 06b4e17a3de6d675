// A stand-in for Apple's Metal, as far as native/probe/probe-macos.mm uses it. See Foundation/Foundation.h.

#pragma once

#import <Foundation/Foundation.h>

@protocol MTLDevice
- (NSString *)name;
- (uint64_t)registryID;
- (BOOL)hasUnifiedMemory;
- (uint64_t)recommendedMaxWorkingSetSize;
@end

extern "C" NSArray<id<MTLDevice>> * MTLCopyAllDevices(void) __attribute__((ns_returns_retained));
