// A stand-in for Apple's power sources, as far as native/probe/probe-macos.mm uses them. See Foundation/Foundation.h.

#pragma once

#import <Foundation/Foundation.h>

extern "C" {
CFTypeRef IOPSCopyPowerSourcesInfo(void);
CFStringRef IOPSGetProvidingPowerSourceType(CFTypeRef snapshot);
}
