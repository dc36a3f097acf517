// The JavaScript SDK 1.x as a client: URL TOKEN; prints each deed as a line of JSON once it is done.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [url, token, modules] = process.argv.slice(2);
const from = (path) => import(pathToFileURL(`${modules}/@a2a-js/sdk/dist/${path}`));
const { Role, TaskState } = await from('index.js');
const { ClientFactory, ClientFactoryOptions, JsonRpcTransportFactory, RestTransportFactory } =
  await from('client/index.js');

const done = (deed, seen) => console.log(JSON.stringify({ deed, seen }));
const letIn = (where, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set('Authorization', `Bearer ${token}`);
  return fetch(where, { ...options, headers });
};

function said(text, task) {
  const part = { content: { $case: 'text', value: text }, filename: '', mediaType: '', metadata: undefined };
  const message = {
    messageId: crypto.randomUUID(),
    role: Role.ROLE_USER,
    parts: [part],
    taskId: task?.id ?? '',
    contextId: task?.contextId ?? '',
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
  };
  return { tenant: '', message, configuration: undefined, metadata: undefined };
}

async function heard(client, request) {
  const events = [];
  for await (const event of client.sendMessageStream(request)) events.push(event.payload);
  return events;
}

const states = (events) => events.filter((e) => e.$case === 'statusUpdate').map((e) => e.value.status.state);
const text = (artifact) => artifact.parts[0].content.value;

for (const preferred of ['JSONRPC', 'HTTP+JSON']) {
  const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
    transports: [
      new JsonRpcTransportFactory({ fetchImpl: letIn }),
      new RestTransportFactory({ fetchImpl: letIn }),
    ],
    preferredTransports: [preferred],
  });
  const agent = (name) =>
    new ClientFactory(options).createFromUrl(`${url}/agents/${name}/`, '.well-known/agent-card.json');

  const echo = await agent('echo');
  done('discover', `${(await echo.getAgentCard()).name} by ${echo.transport.constructor.name}`);
  const sent = await echo.sendMessage(said('When?'));
  const task = sent.payload?.value ?? sent;
  assert.equal(text(task.artifacts[0]), 'At six.');
  done('send', task.status.state);

  const events = await heard(await agent('talker'), said('Tell me.'));
  const chunks = events.filter((e) => e.$case === 'artifactUpdate').map((e) => text(e.value.artifact));
  assert.deepEqual(chunks.slice(0, 2), ['one ', 'two']);
  assert.equal(states(events).at(-1), TaskState.TASK_STATE_COMPLETED);
  done('stream', chunks);

  const waiter = await agent('waiter');
  const stream = waiter.sendMessageStream(said('Wait.'));
  const begun = (await stream.next()).value.payload.value;
  const stopped = await waiter.cancelTask({ tenant: '', id: begun.id, metadata: undefined });
  await stream.return();
  assert.equal(stopped.status.state, TaskState.TASK_STATE_CANCELED);
  done('cancel', stopped.status.state);

  const asker = await agent('asker');
  const first = await heard(asker, said('How long is it?'));
  assert.equal(states(first).at(-1), TaskState.TASK_STATE_INPUT_REQUIRED);
  const question = first.at(-1).value.status.message.parts[0].content.value;
  const rest = await heard(asker, said('the Elbe', first[0].value));
  assert.equal(states(rest).at(-1), TaskState.TASK_STATE_COMPLETED);
  const found = await asker.getTask({ tenant: '', id: first[0].value.id, historyLength: undefined });
  assert.equal(text(found.artifacts[0]), 'The Elbe, then.');
  done('answer', question);
}
