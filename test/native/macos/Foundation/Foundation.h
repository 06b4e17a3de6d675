// A stand-in for Apple's Foundation and CoreFoundation, as far as native/probe/probe-macos.mm uses them, written from their
// documentation: so that its syntax and its types can be checked without a Mac. Nothing here is linked or run.

#pragma once

#include <cstddef>
#include <cstdint>

typedef signed char BOOL;
typedef unsigned long NSUInteger;
typedef long NSInteger;

typedef const void * CFTypeRef;
typedef const struct __attribute__((objc_bridge(NSString))) __CFString * CFStringRef;
typedef const struct __CFAllocator * CFAllocatorRef;
typedef const struct __attribute__((objc_bridge(NSDictionary))) __CFDictionary * CFDictionaryRef;
typedef struct __attribute__((objc_bridge_mutable(NSMutableDictionary))) __CFDictionary * CFMutableDictionaryRef;
extern "C" const CFAllocatorRef kCFAllocatorDefault;
extern "C" void CFRelease(CFTypeRef object);
#define CFSTR(text) ((CFStringRef) __builtin___CFStringMakeConstantString("" text ""))

__attribute__((objc_root_class)) @interface NSObject
+ (Class) class;
- (BOOL)isKindOfClass:(Class)kind;
@end

@interface NSString : NSObject
- (const char *)UTF8String;
@end

@interface NSConstantString : NSString {
    char * bytes;
    unsigned int length;
}
@end

@interface NSNumber : NSObject
- (unsigned long long)unsignedLongLongValue;
@end

typedef struct {
    unsigned long state;
    __unsafe_unretained id * items;
    unsigned long * mutations;
    unsigned long extra[5];
} NSFastEnumerationState;

@interface NSDictionary : NSObject
- (id)objectForKey:(id)key;
@end

@interface NSMutableDictionary : NSDictionary
@end

@interface NSArray<Object> : NSObject
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state
                                  objects:(__unsafe_unretained id *)buffer
                                    count:(NSUInteger)count;
@end

typedef NSInteger NSProcessInfoThermalState;

@interface NSProcessInfo : NSObject
+ (NSProcessInfo *)processInfo;
- (NSProcessInfoThermalState)thermalState;
@end

extern "C" id CFBridgingRelease(CFTypeRef __attribute__((cf_consumed)) object);
