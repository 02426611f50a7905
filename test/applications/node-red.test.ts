import { NODE_RED } from './support/catalogue.ts';
import { testApplication } from './support/suite.ts';

testApplication(NODE_RED);
