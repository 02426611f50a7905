/** What docs/apache.md documents, with the real Apache. */
import { testFrontEnds } from './suite.ts';

testFrontEnds('docs/apache.md');
