// The published JavaScript SDKs, and where they differ.

import * as e2b from 'e2b'
import * as novita from 'novita-sandbox'

class Sdk {
  constructor(name, module, features) {
    this.name = name
    this.module = module
    this.features = features
  }

  /** The class that stands for a kind of failure. */
  error(kind) {
    const name = {
      invalid_argument: 'InvalidArgumentError',
      unauthenticated: 'AuthenticationError',
      not_found: 'NotFoundError',
      file_not_found: 'FileNotFoundError',
      not_enough_space: 'NotEnoughSpaceError',
      timeout: 'TimeoutError',
      exit: 'CommandExitError',
      any: 'SandboxError',
    }[kind]
    return this.module[name]
  }

  /** The sandbox object of debug mode, which asks no control plane. */
  sandbox(url) {
    return this.module.Sandbox.create({ debug: true, sandboxUrl: url })
  }

  /** A sandbox object with an access token, as `create` builds it from the answer of a control plane. */
  secured(url, token) {
    return new this.module.Sandbox({
      sandboxId: 'debug_sandbox_id',
      envdVersion: '99.99.99',
      envdAccessToken: token,
      debug: true,
      sandboxUrl: url,
    })
  }
}

export const sdks = [
  new Sdk('e2b', e2b, { metadata: true, entries: true }),
  new Sdk('novita', novita, { metadata: false, entries: false }),
]
