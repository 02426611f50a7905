/** What docs/nginx.md documents, with the real nginx. */
import { testFrontEnds } from './suite.ts';

testFrontEnds('docs/nginx.md');
