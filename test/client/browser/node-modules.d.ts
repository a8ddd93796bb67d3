/**
 * Types of the server's that the client uses stand in files that import from Node for other things.
 * What those are does not matter here: no file of the server is loaded by a browser.
 */
declare module 'node:*';
