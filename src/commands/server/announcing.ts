// What a server's parts tell the event bus: downloads as they go on, models that come and go, and what the machine does.

import { isLocalAddress } from "../../api/host-check.ts";
import { encodeMachine } from "../../api/system/encode-hardware.ts";
import { HardwareWatch } from "../../hardware/watch.ts";
import type { ModelSource, PullEvent } from "../../hub/hub.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import type { EventBus } from "../../lib/event-bus.ts";
import { ModelFeed } from "../../models/model-feed.ts";
import type { ModelRegistry } from "../../models/registry.ts";
import { toAppError } from "../../protocol/errors.ts";
import type { EventTopic } from "../../protocol/events.ts";
import type { MachineSource } from "../../protocol/machine.ts";

/** The same source, whose downloads are told besides. */
export function announceDownloads(source: ModelSource, events: EventBus<EventTopic>): ModelSource {
  return {
    search: (query) => source.search(query),
    look: (text, read, signal) => source.look(text, read, signal),
    async pull(asked, options) {
      const tell = (event: object, replaces: string | null = null): void =>
        events.publish("download", { asked, ...event }, replaces);
      const onEvent = (event: PullEvent): void => {
        tell(event, event.type === "progress" ? `${asked} ${event.file}` : null);
        options.onEvent(event);
      };
      try {
        return await source.pull(asked, { ...options, onEvent });
      } catch (thrown) {
        tell({ type: "failed", error: toAppError(thrown).toBody() });
        throw thrown;
      }
    },
  };
}

/** Call `notice` after a change in a folder of models. */
export function announceModels(
  registry: ModelRegistry,
  events: EventBus<EventTopic>,
  clock: Clock = systemClock,
): ModelFeed {
  const feed = new ModelFeed({
    registry,
    hasListeners: () => events.hasReaders("models"),
    publish: (change) => events.publish("models", change),
    clock,
  });
  events.onSubscribe((topic) => {
    if (topic === "models") feed.begin();
  });
  return feed;
}

/** `host`: the address that the server listens on, by which it is known who may listen to it. */
export function announceHardware(
  machine: MachineSource,
  events: EventBus<EventTopic>,
  host: string,
  clock: Clock = systemClock,
): HardwareWatch {
  const isLocal = isLocalAddress(host);
  const watch = new HardwareWatch({
    machine,
    hasListeners: () => events.hasReaders("hardware"),
    publish: (snapshot) => events.publish("hardware", encodeMachine(snapshot, isLocal), "machine"),
    clock,
  });
  events.onSubscribe((topic) => {
    if (topic === "hardware") watch.begin();
  });
  return watch;
}
