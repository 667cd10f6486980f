// Our protocol for connect-node: descriptors built from proto/ at installation, no generated code.

import { readFileSync } from 'node:fs'

import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'

const descriptors = readFileSync(new URL('../node_modules/descriptors.binpb', import.meta.url))
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors))

export const Process = registry.getService('process.Process')
export const Filesystem = registry.getService('filesystem.Filesystem')
export const FileType = numbers('filesystem.FileType')
export const EventType = numbers('filesystem.EventType')

/** The values of an enum by their names without its prefix. */
function numbers(name) {
  return Object.fromEntries(registry.getEnum(name).values.map(({ localName, number }) => [localName, number]))
}

/** Each way in which a client library may speak to the daemon: protocol, codec, HTTP version. */
export const WIRES = {
  'Connect, binary, HTTP/1.1': (options) => createConnectTransport({ httpVersion: '1.1', useBinaryFormat: true, ...options }),
  'Connect, JSON, HTTP/1.1': (options) => createConnectTransport({ httpVersion: '1.1', useBinaryFormat: false, ...options }),
  'Connect, binary, h2c': (options) => createConnectTransport({ httpVersion: '2', useBinaryFormat: true, ...options }),
  'gRPC, binary, h2c': (options) => createGrpcTransport({ useBinaryFormat: true, ...options }),
  'gRPC-Web, binary, HTTP/1.1': (options) =>
    createGrpcWebTransport({ httpVersion: '1.1', useBinaryFormat: true, ...options }),
  'gRPC-Web, JSON, h2c': (options) => createGrpcWebTransport({ httpVersion: '2', useBinaryFormat: false, ...options }),
}

/** Clients of both services over one wire. */
export function clients(wire, url, options = {}) {
  const transport = WIRES[wire]({ baseUrl: url, ...options })
  return { process: createClient(Process, transport), files: createClient(Filesystem, transport) }
}
