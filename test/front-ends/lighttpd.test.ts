/** What docs/lighttpd.md documents, with the real Lighttpd. */
import { testFrontEnds } from './support/suite.ts';

testFrontEnds('docs/lighttpd.md');
