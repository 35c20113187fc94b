// A worker in JavaScript that has many requests in flight: it answers each when it is done, in any order.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

async function wait(ms, { name }) {
  await setTimeout(ms);
  return `${name} waited`;
}

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const requests = createInterface({ input: process.stdin });
requests.once("line", (hello) => {
  say({ ready: 1, slots: JSON.parse(hello).slots }); // as many at a time as the runner offers
  requests.on("line", async (line) => {
    const { id, args, kwargs } = JSON.parse(line);
    try {
      say({ id, ok: { result: await wait(...args, kwargs) } });
    } catch (error) {
      say({ id, error: { type: error.name, message: error.message, traceback: error.stack } });
    }
  });
});
