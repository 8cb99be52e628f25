/** TUN and TAP devices for Node.js on Linux, with offloads and batches. */
export {}
