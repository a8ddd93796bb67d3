/** Events of `watch`, for people. */
import type { WatchEvent } from '../client/index.ts';
import { labelText, resourcesText } from '../operators/lock-text.ts';
import { sessionText } from './lock-text.ts';
import type { Paint, Style } from './paint.ts';

const STYLES: Readonly<Record<WatchEvent['event'], Style>> = {
  enqueued: 'yellow',
  acquired: 'green',
  released: 'dim',
  timeout: 'red',
  expired: 'red',
  evicted: 'red',
  abandoned: 'red',
  dropped: 'red',
};

/** As long as the longest event. */
const EVENT_WIDTH = 9;

/** One line, without its line feed. */
export function eventText(event: WatchEvent, paint: Paint): string {
  if (event.event === 'dropped') {
    const what = event.count === undefined ? 'what happened meanwhile' : `${event.count} events`;
    return paint('red', `missed ${what}`);
  }
  const label = labelText(event);
  const parts = [
    paint(STYLES[event.event], event.event.padEnd(EVENT_WIDTH)),
    event.id,
    resourcesText(event.resources, event.moreResources),
    `session ${sessionText(event)}`,
    ...(label === '' ? [] : [label]),
  ];
  return parts.join('  ');
}
